"""Attention and Transformer blocks against torch's own, with the same weights."""

import numpy as np
import pytest
import torch
from torch import nn

import lamella
from lamella.errors import ArgumentError, ShapeError
from lamella.language import CrossAttention, KeyValueCache, SelfAttention, TransformerBlock

BATCH, LENGTH, PLACES, WIDTH, HEADS = 3, 7, 5, 16, 4


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def padding(lengths, longest):
    return torch.arange(longest) < torch.tensor(lengths)[:, None]


def copy(ours, theirs):
    """Weights of a torch Linear, transposed, into a Dense."""
    with torch.no_grad():
        ours.kernel.copy_(theirs[0].T)
        ours.bias.copy_(theirs[1])


def copy_attention(layer, reference):
    """Random weights, biases too, in torch's MultiheadAttention and in ours."""
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.normal_(0, 0.3)
    weight, bias = reference.in_proj_weight, reference.in_proj_bias
    if isinstance(layer, SelfAttention):
        copy(layer.query_key_value, (weight, bias))
    else:
        copy(layer.query, (weight[:WIDTH], bias[:WIDTH]))
        copy(layer.key_value, (weight[WIDTH:], bias[WIDTH:]))
    copy(layer.merge, (reference.out_proj.weight, reference.out_proj.bias))


def assert_same_gradients(one, other, ours, theirs):
    """Of a random projection of the outputs, with respect to inputs."""
    direction = torch.randn_like(one)
    found = torch.autograd.grad((one * direction).sum(), ours)
    wanted = torch.autograd.grad((other * direction).sum(), theirs)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [None, [7, 4, 1], [7, 7, 7]])
def test_self_attention_is_torchs(causal, lengths):
    layer, reference = SelfAttention(HEADS, causal=causal), nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    x = torch.randn(BATCH, LENGTH, WIDTH, requires_grad=True)
    mask = None if lengths is None else padding(lengths, LENGTH)
    layer(x)
    copy_attention(layer, reference)
    before = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1) if causal else None
    wanted, _ = reference(x, x, x, key_padding_mask=None if mask is None else ~mask, attn_mask=before)
    found = layer(x, mask=mask)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert_same_gradients(found, wanted, [x], [x])
    packed = layer.query_key_value.kernel
    (ours,) = torch.autograd.grad(layer(x, mask=mask).square().sum(), packed)
    again, _ = reference(x, x, x, key_padding_mask=None if mask is None else ~mask, attn_mask=before)
    (theirs,) = torch.autograd.grad(again.square().sum(), reference.in_proj_weight)
    torch.testing.assert_close(ours, theirs.T, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("lengths", [None, [5, 2, 1]])
def test_cross_attention_is_torchs(lengths):
    layer, reference = CrossAttention(HEADS), nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    x, memory = torch.randn(BATCH, LENGTH, WIDTH), torch.randn(BATCH, PLACES, WIDTH)
    x.requires_grad_()
    memory.requires_grad_()
    mask = None if lengths is None else padding(lengths, PLACES)
    layer(x, memory, mask=mask)
    copy_attention(layer, reference)
    wanted, _ = reference(x, memory, memory, key_padding_mask=None if mask is None else ~mask)
    found = layer(x, memory, mask=mask)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert_same_gradients(found, wanted, [x, memory], [x, memory])


def copy_block(block, reference):
    copy_attention(block.attention, reference.self_attn)
    norms = [(block.attention_norm, reference.norm1), (block.feedforward_norm, reference.norm2)]
    if block.cross_attention is not None:
        copy_attention(block.cross_attention, reference.multihead_attn)
        norms = [norms[0], (block.cross_norm, reference.norm2), (block.feedforward_norm, reference.norm3)]
    with torch.no_grad():
        for ours, theirs in norms:
            theirs.weight.uniform_(0.5, 1.5)
            theirs.bias.normal_()
            ours.gamma.copy_(theirs.weight)
            ours.beta.copy_(theirs.bias)
    copy(block.feedforward_in, (reference.linear1.weight, reference.linear1.bias))
    copy(block.feedforward_out, (reference.linear2.weight, reference.linear2.bias))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_block_is_torchs_encoder_layer(norm_first, activation):
    block = TransformerBlock(HEADS, 32, activation=activation, norm_first=norm_first)
    reference = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 32, dropout=0.0, activation=activation, batch_first=True, norm_first=norm_first
    )
    x, mask = torch.randn(BATCH, LENGTH, WIDTH, requires_grad=True), padding([7, 4, 2], LENGTH)
    block(x, mask=mask)
    copy_block(block, reference)
    found, wanted = block(x, mask=mask), reference(x, src_key_padding_mask=~mask)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert_same_gradients(found, wanted, [x], [x])


@pytest.mark.parametrize("norm_first", [False, True])
def test_block_is_torchs_decoder_layer(norm_first):
    block = TransformerBlock(HEADS, 32, activation="relu", norm_first=norm_first, causal=True, cross_attention=True)
    reference = nn.TransformerDecoderLayer(WIDTH, HEADS, 32, dropout=0.0, batch_first=True, norm_first=norm_first)
    x, memory = torch.randn(BATCH, LENGTH, WIDTH), torch.randn(BATCH, PLACES, WIDTH)
    x.requires_grad_()
    memory.requires_grad_()
    seen = padding([5, 3, 1], PLACES)
    block(x, memory=memory, memory_mask=seen)
    copy_block(block, reference)
    found = block(x, memory=memory, memory_mask=seen)
    wanted = reference(
        x,
        memory,
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(LENGTH),
        memory_key_padding_mask=~seen,
    )
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    assert_same_gradients(found, wanted, [x, memory], [x, memory])


@pytest.mark.parametrize("lengths", [None, [7, 4, 1]])
def test_another_library_of_matrices_changes_nothing_and_is_chosen_again(lengths):
    layer, x = SelfAttention(HEADS, causal=True), torch.randn(BATCH, LENGTH, WIDTH, requires_grad=True)
    mask = None if lengths is None else padding(lengths, LENGTH)
    wanted = layer(x, mask=mask)
    weights = [x, *layer.trainable_weights]
    gradients = torch.autograd.grad(wanted.square().sum(), weights)
    settings, seen = torch.backends.mkldnn.matmul, []
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        found = layer(x, mask=mask)
        assert settings.fp32_precision == "bf16"
        found.register_hook(lambda gradient: seen.append(settings.fp32_precision))
        x.register_hook(lambda gradient: seen.append(settings.fp32_precision))
        again = torch.autograd.grad(found.square().sum(), weights)
        assert seen == ["bf16", "bf16"]
    finally:
        settings.fp32_precision = before
    torch.testing.assert_close(found, wanted, atol=1e-2, rtol=1e-2)  # a processor with AMX rounds the dense layers
    for one, other in zip(again, gradients, strict=True):
        torch.testing.assert_close(one, other, atol=3e-2, rtol=3e-2)


def test_what_may_look_at_nothing_is_finite():
    x = torch.randn(2, 4, WIDTH, requires_grad=True)
    mask = torch.tensor([[False, False, True, True], [False] * 4])
    for causal in (False, True):
        block = TransformerBlock(HEADS, 32, causal=causal)
        y = block(x, mask=mask)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert y.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("pieces", [[1] * 7, [3, 1, 3], [7], [2, 5]])
@pytest.mark.parametrize("padded", [False, True])
def test_pieces_through_the_cache_are_the_whole(pieces, padded):
    block = TransformerBlock(HEADS, 32, causal=True, cross_attention=True)
    x, memory = torch.randn(BATCH, LENGTH, WIDTH), torch.randn(BATCH, PLACES, WIDTH)
    mask = padding([7, 5, 2], LENGTH).flip(1) if padded else None  # padding stands at the left
    whole = block(x, mask=mask, memory=memory)
    cache, parts, end = KeyValueCache(LENGTH), [], 0
    for size in pieces:
        part = x[:, end : end + size]
        end += size
        parts.append(block(part, mask=None if mask is None else mask[:, :end], memory=memory, cache=cache))
    real = torch.ones(BATCH, LENGTH, dtype=torch.bool) if mask is None else mask
    torch.testing.assert_close(torch.cat(parts, 1)[real], whole[real], atol=1e-5, rtol=1e-4)


def test_cache_reorders_to_more_and_fewer_rows():
    block = TransformerBlock(HEADS, 32, causal=True, cross_attention=True)
    x, memory = torch.randn(BATCH, LENGTH, WIDTH), torch.randn(BATCH, PLACES, WIDTH)
    for order in ([2, 0, 1], [0, 0, 1, 1, 2, 2], [2]):
        chosen, cache = torch.tensor(order), KeyValueCache(LENGTH)
        block(x[:, :4], memory=memory, cache=cache)
        cache.reorder(chosen)
        found = block(x[chosen][:, 4:], memory=memory[chosen], cache=cache)
        torch.testing.assert_close(found, block(x, memory=memory)[chosen][:, 4:], atol=1e-5, rtol=1e-4)


def test_cache_refuses_more_than_it_holds():
    attention, cache = SelfAttention(HEADS, causal=True), KeyValueCache(3)
    attention(torch.randn(1, 3, WIDTH), cache=cache)
    with pytest.raises(ShapeError, match="4 positions are more than its capacity of 3"):
        attention(torch.randn(1, 1, WIDTH), cache=cache)


def test_dropout_acts_in_training_only():
    x = torch.randn(BATCH, LENGTH, WIDTH)
    for options in ({"dropout": 0.5}, {"dropout": 0.5, "attention_dropout": 0.0}, {"attention_dropout": 0.5}):
        block = TransformerBlock(HEADS, 32, **options)
        torch.testing.assert_close(block(x), block(x))
        assert not torch.allclose(block(x, training=True), block(x, training=True))


def test_a_hook_on_a_sublayer_is_heard():
    block, heard = TransformerBlock(HEADS, 32), []
    x = torch.randn(BATCH, LENGTH, WIDTH)
    block(x)
    for part in (block.attention, block.attention.merge, block.feedforward_norm, block.feedforward_out):
        part.register_forward_hook(lambda module, *_: heard.append(module.name))
    block(x)
    assert len(heard) == 4


def test_blocks_in_a_functional_model_train_and_are_saved(tmp_path):
    tokens = lamella.Input((LENGTH,), dtype="int64")
    other = lamella.Input((PLACES, 12))
    x = lamella.layers.Embedding(11, WIDTH)(tokens)
    x = TransformerBlock(HEADS, 32, activation="gelu_tanh", causal=True, dropout=0.1)(x)
    x = TransformerBlock(HEADS, 32, cross_attention=True, norm_first=False)(x, memory=other)
    model = lamella.Model([tokens, other], lamella.layers.Dense(11)(x))
    model.compile("adam", lamella.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = [np.random.randint(0, 11, (8, LENGTH)), np.random.rand(8, PLACES, 12).astype("float32")]
    losses = model.fit(data, data[0], epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "m.keras")
    again = lamella.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.predict(data, verbose=0), model.predict(data, verbose=0), atol=1e-6)


def test_padding_masks_of_an_embedding_reach_the_block():
    embedding = lamella.layers.Embedding(11, WIDTH, mask_zero=True)
    model = lamella.Sequential([lamella.Input((None,), dtype="int64"), embedding, TransformerBlock(HEADS, 32)])
    short = torch.tensor([[3, 4, 5]])
    long = torch.tensor([[3, 4, 5, 0, 0]])
    torch.testing.assert_close(model(long)[:, :3], model(short), atol=1e-5, rtol=1e-4)


def test_errors_name_what_does_not_fit():
    x = torch.randn(1, 2, WIDTH)
    with pytest.raises(ArgumentError, match="got 3 heads for a width of 16"):
        SelfAttention(3)(x)
    with pytest.raises(ArgumentError, match="needs a memory"):
        TransformerBlock(HEADS, 32, cross_attention=True)(x)
    with pytest.raises(ArgumentError, match="nothing looks at the memory"):
        TransformerBlock(HEADS, 32)(x, memory=x)
