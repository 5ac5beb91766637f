"""ResNet-50 in torch: as a tutorial writes it, and as lean as it goes."""

from torch import nn
from torch.nn import functional as F


class Bottleneck(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.norm3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.shortcut = nn.Identity()
        if stride > 1 or channels != 4 * width:
            convolution = nn.Conv2d(channels, 4 * width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(4 * width))

    def forward(self, x):
        h = F.relu(self.norm1(self.conv1(x)))
        h = F.relu(self.norm2(self.conv2(h)))
        return F.relu(self.norm3(self.conv3(h)) + self.shortcut(x))


class LeanBottleneck(Bottleneck):
    """Adds and rectifies in place."""

    def forward(self, x):
        h = F.relu_(self.norm1(self.conv1(x)))
        h = F.relu_(self.norm2(self.conv2(h)))
        return F.relu_(self.norm3(self.conv3(h)).add_(self.shortcut(x)))


class ResNet(nn.Module):
    block = Bottleneck

    def __init__(self, stages, classes):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        blocks, channels = [], 64
        for width, count, stride in stages:
            for place in range(count):
                blocks.append(self.block(channels, width, stride if place == 0 else 1))
                channels = 4 * width
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Linear(channels, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 3, 2, 1)
        return self.output(self.blocks(x).mean((2, 3)))


class LeanResNet(ResNet):
    """Takes (batch, height, width, channels), and pools before it rectifies."""

    block = LeanBottleneck

    def forward(self, x):
        x = self.norm(self.conv(x.permute(0, 3, 1, 2)))
        x = F.relu_(F.max_pool2d(x, 3, 2, 1))
        return self.output(self.blocks(x).mean((2, 3)))
