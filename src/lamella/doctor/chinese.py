"""The doctor's texts in Chinese."""

CHINESE: dict[str, dict[str, str]] = {
    "labels": {
        "seen": "现象：",
        "meaning": "含义：",
        "advice": "建议：",
        "page": "详见：",
    },
    "non_finite": {
        "name": "损失不再是有限的数",
        "seen": "损失变成了 NaN 或无穷大（已完成 {epoch} 轮）。",
        "seen.weights": "层 '{layer}' 的权重是 NaN 或无穷大（已完成 {epoch} 轮）。",
        "seen.outputs": "'{layer}' 是第一个输出 NaN 或无穷大的层（已完成 {epoch} 轮）。",
        "seen.loss": "每一层的输出都是有限的，损失却不是（已完成 {epoch} 轮）。",
        "meaning": "某处除以了 0，或对 0 取了对数或开了方，或数值超出了 float32 的范围。",
        "meaning.weights": "某个梯度是 NaN 或无穷大：它产生于最后一个出现此种权重的层之后。",
        "advice": (
            "如果损失先是不断变大，把学习率降到十分之一；否则检查 log、sqrt 和除法，在里面加一个小数：log(x + 1e-7)。"
        ),
    },
    "output_does_not_fit_loss": {
        "name": "最后的激活函数与损失不匹配",
        "seen": "最后一层 '{layer}' 的激活函数是 {activation}，损失是 {loss}。",
        "seen.probabilities_as_logits": (
            "'{layer}' 已经用了 {activation}，而 {loss} 设了 from_logits=True，会再用一次。"
        ),
        "seen.logits_as_probabilities": (
            "{loss} 需要概率，但 '{layer}'（{activation}）给出的数从 {low:.3g} 到 {high:.3g}。"
        ),
        "seen.not_a_distribution": (
            "{loss} 需要和为 1 的概率，但 '{layer}'（{activation}）的输出之和从 {low:.3g} 到 {high:.3g}。"
        ),
        "seen.softmax_of_one": "'{layer}' 是只有一个单元的 softmax，输出永远是 1。",
        "seen.out_of_reach": (
            "'{layer}'（{activation}）只能给出 {low:g} 到 {high:g} 的数，但 {outside:.0%} 的目标值在此之外。"
        ),
        "meaning": "损失算的不是你想要的东西；训练会很慢，或者停在错误的地方。",
        "advice": (
            "多选一：softmax，或不加激活并设 from_logits=True。是或否：一个 sigmoid 单元加 binary_crossentropy。任"
            "意数值：不加激活，用 'mse'。"
        ),
    },
    "unscaled_inputs": {
        "name": "输入没有缩放",
        "seen": "层 '{layer}' 的输入大小（均方根）高达 {largest:.3g}。",
        "seen.apart": (
            "层 '{layer}' 的各个输入特征大小悬殊：特征 {feature} 为 {largest:.3g}，一般的为 {typical:.3g}（均方根）。"
        ),
        "seen.small": "层 '{layer}' 的输入几乎为 0：大小（均方根）至多 {largest:.3g}。",
        "meaning": "初始权重和学习率是为大小约为 1 的输入设计的；否则有的方向学得忽大忽小，有的几乎不动。",
        "advice": "图片：先加 layers.Rescaling(1 / 255)。表格：用训练数据适配过的 layers.Normalization()。",
    },
    "exploding_activations": {
        "name": "某层的初始权重太大",
        "seen": "训练之前，层 '{layer}' 的输出是其输入的 {gain:.3g} 倍（权重大小 {weight:.3g}）。",
        "meaning": "每一个这样的层都会放大信号和梯度：损失一开始就极大，每一步都不知走向何处。",
        "advice": "ReLU 用 'he_normal'，其他用 'glorot_uniform'（默认），或在其后加 BatchNormalization。",
    },
    "exploding_gradients": {
        "name": "梯度随时间步爆炸",
        "seen": "层 '{layer}' 的输出是其输入的 {ratio:.3g} 倍（第 {epoch} 轮之后）。",
        "meaning": "沿着序列每走一步，数值都在变大，正向反向都是如此：梯度会爆炸。",
        "advice": "在优化器中设 clipnorm=1.0，recurrent_initializer 用正交矩阵，或改用 LSTM、GRU。",
        "seen.back": "层 '{layer}' 的权重梯度是 '{other}' 的 {ratio:.3g} 倍（第 {epoch} 轮之后）。",
    },
    "rate_too_large": {
        "name": "学习率太大",
        "seen": "第 {epoch} 轮之后损失为 {loss:.3g}。",
        "seen.raises": (
            "沿梯度走一步，同一批样本的损失从 {before:.3g} 变为 {after:.3g}；第 {epoch} 轮之后损失为 {loss:.3g}。"
        ),
        "seen.jumps": (
            "一步就使层 '{layer}' 的权重改变了其大小的 {ratio:.0%}，而损失没有下降（第 {epoch} 轮之后：{loss:.3g}）。"
        ),
        "meaning": "步子跨过了本该走进的山谷：损失跳动、变大，或一直很高。",
        "advice": "学习率降到十分之一，不行再降。lamella.study.learning_rates 可以同时比较许多学习率的损失。",
    },
    "dead_units": {
        "name": "ReLU 单元死亡",
        "seen": "层 '{layer}' 有 {share:.0%} 的单元对所有看过的样本都输出 0（第 {epoch} 轮之后）。",
        "meaning": "ReLU 输出 0 的地方梯度也是 0：对所有样本都是 0 的单元再也学不到东西。",
        "advice": "减小学习率，偏置从 0 开始，缩放输入；或用 LeakyReLU、ELU，或在激活之前加 BatchNormalization。",
    },
    "saturated_units": {
        "name": "单元饱和",
        "seen": "层 '{layer}' 有 {share:.0%} 的输出落在激活曲线两端的平坦处（第 {epoch} 轮之后）。",
        "meaning": "那里的斜率不到最大值的 5 %，梯度几乎传不过去。",
        "advice": (
            "减小初始权重（'glorot_uniform'），缩放输入，减小学习率，在激活之前加 BatchNormalization；或改用 ReLU。"
        ),
    },
    "vanishing_gradients": {
        "name": "梯度在回传途中消失",
        "seen": "层 '{layer}' 的权重梯度只有 '{other}' 的 {ratio:.2g} 倍（第 {epoch} 轮之后）。",
        "meaning": "每一层都使梯度变小（sigmoid 至少缩小到四分之一）：前面的层停留在初始状态。",
        "advice": "用 ReLU 代替 sigmoid 或 tanh，用 'he_normal'、BatchNormalization 或残差连接。",
    },
    "rate_too_small": {
        "name": "学习率太小",
        "seen": (
            "{epoch} 轮里损失只下降了 {change:.2%}。只要走一步，长度是现在的 {times:.0e} 倍，损失就会从 {before:.3g} "
            "降到 {best:.3g}。"
        ),
        "seen.rose": (
            "{epoch} 轮里损失不降反升，升了 {change:.2%}。只要走一步，长度是现在的 {times:.0e} 倍，损失就会从 "
            "{before:.3g} 降到 {best:.3g}。"
        ),
        "meaning": "下坡的路又直又长，步子却太短：训练要花的时间会是所需的许多倍。",
        "advice": (
            "学习率增大到十倍，不行再增大。lamella.study.find_learning_rate 只用一次短训练就能找到合适的学习率。"
        ),
    },
    "attention_collapse": {
        "name": "注意力只看一个位置",
        "seen": "层 '{layer}' 的注意力分散程度只有可能值的 {entropy:.1%}（第 {epoch} 轮之后；相对于均匀注意力的熵）。",
        "meaning": "它的 softmax 已经饱和：几乎全部权重都在一个位置上，查询和键得不到梯度。",
        "advice": "在注意力之前加 LayerNormalization，减小初始权重，让学习率逐渐升高（warm-up）。",
    },
    "leaked_rows": {
        "name": "验证数据混有训练数据",
        "seen": (
            "有 {count} 行验证数据（{share:.0%}）也在训练数据里；例如验证第 {row} 行就是训练第 {training_row} 行。"
        ),
        "meaning": "验证结果偏高：模型见过这些行。",
        "advice": "先去重再划分；若多行属于同一个人、同一天或同一篇文档，应按人、按天或按文档划分。",
    },
    "under_fitting": {
        "name": "模型欠拟合",
        "seen": "损失停在 {loss:.3g}（第 {epoch} 轮）；总是给出同一个答案就能达到 {constant:.3g}。",
        "meaning": "模型对这些数据来说太简单，或者输入里没有关于目标的信息。",
        "advice": "增加单元或层，用非线性激活，减小正则化，改进特征；检查 x 与 y 是否仍然一一对应。",
    },
    "over_fitting": {
        "name": "模型过拟合",
        "seen": "第 {epoch} 轮之后，训练数据上的损失为 {training:.3g}，验证数据上为 {validation:.3g}。",
        "seen.rises": (
            "验证损失在第 {best_epoch} 轮之后为 {best:.3g}，到第 {epoch} 轮之后为 {validation:.3g}，而训练损失为 "
            "{training:.3g}。"
        ),
        "meaning": "模型背下了训练样本，而没有学到它们与新样本的共同之处。",
        "advice": (
            "EarlyStopping(restore_best_weights=True)、Dropout、L2、更小的模型、数据增强；最好的办法是更多数据。"
        ),
    },
    "label_imbalance": {
        "name": "类别不平衡",
        "seen": "类别 {common} 有 {most} 个样本，类别 {rare} 只有 {least} 个。",
        "meaning": "忽略稀有类别几乎不增加损失，也几乎不降低准确率，模型很可能就这样做。",
        "advice": "fit(class_weight=...)，收集更多稀有类别的样本，并用 F1、AUC 代替准确率。",
    },
    "constant_features": {
        "name": "有些特征从不变化",
        "seen": "{of} 个特征中有 {count} 个在每一行都相同：{columns}。",
        "meaning": "它们不含任何信息；往往是文件读错了，或者整列被填充过。",
        "advice": "检查这些列；如果本来如此，就去掉它们。",
    },
    "loss_spike": {
        "name": "损失突然升高又回落",
        "seen": "第 {epoch} 轮中损失从 {before:.3g} 升到 {loss:.3g}。",
        "meaning": "少数样本的梯度极大，或学习率正处在可行的边缘。",
        "advice": "在优化器中设 clipnorm=1.0，略微减小学习率，并检查数据中的离群值。",
    },
}
