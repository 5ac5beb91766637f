"""The network of a small YOLO in torch: as a tutorial writes it, and as lean as it goes."""

import torch
from torch import nn
from torch.nn import functional as F


class Convolve(nn.Module):
    def __init__(self, channels, width, size, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, size, stride, size // 2, bias=False)
        self.norm = nn.BatchNorm2d(width, eps=1e-3, momentum=0.03)

    def forward(self, x):
        return F.silu(self.norm(self.conv(x)))


class Stage(nn.Module):
    def __init__(self, channels, width, blocks, residual):
        super().__init__()
        half = width // 2
        self.first = Convolve(channels, width, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(Convolve(half, half, 3), Convolve(half, half, 3)) for _ in range(blocks)
        )
        self.last = Convolve(width + blocks * half, width, 1)
        self.residual = residual

    def forward(self, x):
        parts = list(self.first(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(parts[-1] + block(parts[-1]) if self.residual else block(parts[-1]))
        return self.last(torch.cat(parts, 1))


class PoolPyramid(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.last = Convolve(width, width // 2, 1), Convolve(2 * width, width, 1)

    def forward(self, x):
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(F.max_pool2d(parts[-1], 5, 1, 2))
        return self.last(torch.cat(parts, 1))


def head(channels, width, outputs):
    return nn.Sequential(Convolve(channels, width, 3), Convolve(width, width, 3), nn.Conv2d(width, outputs, 1))


class YOLO(nn.Module):
    def __init__(self, widths, few, many, bins, classes):
        super().__init__()
        c2, c4, c8, c16, c32 = widths
        self.start = nn.Sequential(Convolve(3, c2, 3, 2), Convolve(c2, c4, 3, 2), Stage(c4, c4, few, True))
        self.to8 = nn.Sequential(Convolve(c4, c8, 3, 2), Stage(c8, c8, many, True))
        self.to16 = nn.Sequential(Convolve(c8, c16, 3, 2), Stage(c16, c16, many, True))
        self.to32 = nn.Sequential(Convolve(c16, c32, 3, 2), Stage(c32, c32, few, True), PoolPyramid(c32))
        self.up16, self.up8 = Stage(c32 + c16, c16, few, False), Stage(c16 + c8, c8, few, False)
        self.down16, self.join16 = Convolve(c8, c8, 3, 2), Stage(c8 + c16, c16, few, False)
        self.down32, self.join32 = Convolve(c16, c16, 3, 2), Stage(c16 + c32, c32, few, False)
        self.boxes = nn.ModuleList(head(c, max(c8 // 4, 4 * bins), 4 * bins) for c in (c8, c16, c32))
        self.classes = nn.ModuleList(head(c, max(c8, classes), classes) for c in (c8, c16, c32))

    def forward(self, x):
        x8 = self.to8(self.start(x))
        x16 = self.to16(x8)
        x32 = self.to32(x16)
        up16 = self.up16(torch.cat([F.interpolate(x32, scale_factor=2), x16], 1))
        y8 = self.up8(torch.cat([F.interpolate(up16, scale_factor=2), x8], 1))
        y16 = self.join16(torch.cat([self.down16(y8), up16], 1))
        y32 = self.join32(torch.cat([self.down32(y16), x32], 1))
        maps = []
        for y, boxes, classes in zip((y8, y16, y32), self.boxes, self.classes, strict=True):
            maps.append(torch.cat([boxes(y), classes(y)], 1).flatten(2))
        return torch.cat(maps, 2).transpose(1, 2)


class LeanYOLO(YOLO):
    """Takes (batch, height, width, channels), and joins the maps as they lie in memory."""

    def forward(self, x):
        x8 = self.to8(self.start(x.permute(0, 3, 1, 2)))
        x16 = self.to16(x8)
        x32 = self.to32(x16)
        up16 = self.up16(torch.cat([F.interpolate(x32, scale_factor=2), x16], 1))
        y8 = self.up8(torch.cat([F.interpolate(up16, scale_factor=2), x8], 1))
        y16 = self.join16(torch.cat([self.down16(y8), up16], 1))
        y32 = self.join32(torch.cat([self.down32(y16), x32], 1))
        maps = []
        for y, boxes, classes in zip((y8, y16, y32), self.boxes, self.classes, strict=True):
            both = torch.cat([boxes(y), classes(y)], 1)
            maps.append(both.permute(0, 2, 3, 1).flatten(1, 2))
        return torch.cat(maps, 1)
