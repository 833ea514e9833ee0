"""The keywords of `train`, from the declaration of settings: tests/keywords.py writes this file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypedDict


class Settings(TypedDict, total=False):
    """Settings; None leaves one out."""

    # Units per layer [default: 256; for series and labels 64]
    hidden: int | None
    # Layers, 1 to 8
    layers: int | None
    # Cell of the layers: rnn, gru or lstm [default: auto, which is gru for a text, else rnn]
    cell: str | None
    # Activation of the layers of `cell` rnn [default: tanh; for labels relu]
    activation: str | None
    # Train without biases
    no_bias: bool | None
    # Initial weights: orthogonal, orthogonal:A, xavier, identity:A, normal:SIGMA, or uniform (PyTorch's default) [default: orthogonal; for labels
    # identity:1]
    init: str | None
    # Added to the initial bias of the forget gate of `cell` lstm, so that it remembers from the start; 0 as in PyTorch [default: 1]
    forget_bias: float | None
    # Drop units between layers with this probability while training, as nn.RNN(dropout=P) does; needs 2 layers or more
    dropout: float | None
    # Embed each symbol in E learned numbers, in place of one-hot inputs: for large vocabularies
    embed: int | None
    # Lanes of text trained side by side (batch size) [default: 32; for series as many as the rows fill, up to 32]
    batch: int | None
    # Sum the gradient over G groups of lanes, each a pass of its own: a power of two that divides `batch`. Up to G processes (`mpirun -n`) share
    # the groups, and their number changes no bit [default: as many as there are processes at the start]
    lane_groups: int | None
    # How far back gradients flow, see below [default: regular:64; for labels full]
    truncation: str | None
    # Stop after N updates [default: 1000, for series 600, unless `epochs` is given]
    updates: int | None
    # Stop after N passes over the training text
    epochs: int | None
    # sgd, sgd:MOMENTUM, rmsprop, rmsprop:ALPHA, adam, adamw or adamw:DECAY [default: adam; for series adamw:0.3]
    optimizer: str | None
    # Learning rate [default: 0.002; for series 0.003]
    lr: float | None
    # How the learning rate falls over the run: constant, cosine, cosine:END, exponential or exponential:END, END the part of it that is left
    # [default: cosine for texts and series, else constant]
    schedule: str | None
    # Updates over which the learning rate rises from 0
    warmup: int | None
    # Scale gradients down to this global norm at most; 0 for no clipping
    clip_norm: float | None
    # Clamp each gradient to plus or minus V instead
    clip_value: float | None
    # Memory that training may take on the device, such as 48MiB; longer windows are then partly recomputed, not refused [default: a quarter of
    # the machine's memory, at most 2GiB]
    memory_budget: str | int | None
    # Precision of the hidden states stored for the backward pass: f16 takes half the memory, with a relative error up to 2^-11. Arithmetic stays
    # f32. Works on every device. States beyond +-65504 (relu, identity) are clamped
    stash: str | None
    # Seed of the initial weights, random cuts, task sequences, shuffling and the sample
    seed: int | None
    # Fraction held out for validation: the end of a text, or randomly chosen lines or sequences, listed in held_out.txt
    val_fraction: float | None
    # Seed that chooses the held-out lines or sequences; `seed` does not affect them [default: 0]
    split_seed: int | None
    # Read a file that looks like a table (.csv, .tsv, columns of numbers) as the characters of a text
    table_as_text: bool | None
    # Read any file as bytes instead of UTF-8 characters; there are 256 symbols then
    bytes: bool | None
    # Read the text as the tokens of this Hugging Face tokenizer (its tokenizer.json), which the model's file then holds; `embed` suits large
    # vocabularies. Needs a build with tokenizers (cargo's feature "tokens")
    tokens: str | os.PathLike[str] | None
    # Separator between independent sequences of the text; \n, \t, \r and \\ are escapes
    separator: str | None
    # Train on a generated task instead of a text: adding:T, copy:T or recall:SYMBOLS,T, see below
    task: str | None
    # Number of sequences of `task`, including the held-out ones [default: 20000]
    examples: int | None
    # Classify the lines of a table: the column of their labels, by its name in the first line or its number from 1. Columns are separated by
    # tabs, commas, semicolons or bars. Held-out lines are sampled, the same share of each label. Other defaults are then `hidden` 64,
    # `activation` relu, `init` identity:1, `truncation` full, `lr` 0.001, `schedule` cosine, and `updates` for 20 passes over the lines, from
    # 2000 to 20000. Lines of more than 200 characters get a lower `lr`
    label_column: str | int | None
    # Column of the texts, if there are several besides the labels'
    text_column: str | int | None
    # Classify sequences of numbers, one step a row: the column that says which sequence a row is a step of. Without it, a table whose columns
    # besides the labels' are two or more of numbers has one sequence a row, of one number a step. `features`, `ignore`, `missing`, `delimiter`
    # and `decimal` say how such tables are read
    sequence_column: str | int | None
    # Weights of the labels in the training loss: balanced (inverse to their counts), or a number for each in the order of the sorted labels, such
    # as 1,5. Their mean over the training part is made 1
    class_weights: str | None
    # Whether the first line of a table of labels names its columns [default: detected, with a note]
    header: str | bool | None
    # Start from this model's weights, architecture and vocabulary, with a fresh optimizer
    from_: str | os.PathLike[str] | None
    # Add the text's characters that the model of `from` lacks, with fresh weights (`init`, `seed`)
    extend_vocabulary: bool | None
    # Forecast these columns of a CSV file, which is read instead of a text; comma-separated names
    target: str | int | Sequence[str] | None
    # Input columns; comma-separated names, with double quotes around one that has a comma [default: all named columns but those of `series`,
    # `time` and `ignore`, which must be numbers]
    features: str | int | Sequence[str] | None
    # Columns to leave out
    ignore: str | int | Sequence[str] | None
    # Forecast the next N rows, each directly [default: 1]
    horizon: int | None
    # Column that says which series a row belongs to, if the file has several; each starts from a zero state
    series: str | int | None
    # Column with the time of a row: not an input, but copied beside forecasts. Rows must be sorted by it, oldest or newest first. Numbers and
    # most date and time formats are understood
    time: str | int | None
    # Rows per season, for the seasonal naive forecast that the model is compared with [default: detected]
    season: int | None
    # Forecast changes from the last known row, with changes as inputs too (all, the default value) or plain values (targets), or read and
    # forecast changes from the values one `season` before (season). Use all for most series with a trend, whose values leave the range seen in
    # training; targets for series without one whose next value is near the last; season where a season repeats itself. Errors stay in the series'
    # own units [default: chosen by the training part: all if its later rows lie beyond its earlier ones, else targets if the last value forecasts
    # better than the mean, else none]
    difference: str | bool | None
    # Loss: squared error (its optimum is the conditional mean) or absolute error (the median, less sensitive to outliers) [default: squared]
    loss: str | None
    # Standardise values by all series of the file together, or each series by its own rows, those before the held-out tail, so that one model
    # serves series of any size; new series by all of their rows [default: all]
    scale: str | None
    # Forecast quantiles of these levels, such as 0.1,0.5,0.9, in place of single values: the loss is the pinball loss, and errors are those of
    # level 0.5. At most 9 levels between 0 and 1, rising, 0.5 among them; quantiles that cross are sorted [default: off]
    quantiles: str | None
    # What to do with empty cells: refuse the file, or fill in the previous row's value, zero, or the training part's mean [default: refuse; with
    # a trained model, as in training, or previous]
    missing: str | None
    # Cell delimiter: one character, or \t [default: detected: , ; \t or |]
    delimiter: str | None
    # Decimal mark: a point or a comma; the other one, spaces and apostrophes may separate thousands [default: detected]
    decimal: str | None
    # strftime format of the time column, such as %d/%m/%Y %H:%M [default: detected]
    time_format: str | None
    # Where to train: auto (a hardware GPU, else the CPU), gpu, gpu:INDEX (see `retrograd devices`) or cpu
    device: str | None
    # Of several processes that train together (`mpirun -n`): end all if one has not answered for so many seconds, or for four times the longest
    # update so far if that is more [default: 20]
    rank_timeout: int | None
    # Validate every N updates, and at the end [default: for texts about 25 times a run, fewer if that cost over 5% of training's operations; for
    # series every 25 updates or more; else after each epoch]
    val_every: int | None
    # Stop after N validations in a row without a new best
    patience: int | None
    # Report the loss every N updates
    log_every: int | None
    # Save a checkpoint every N updates [default: about two a minute]
    save_every: int | None
    # Characters of the text that the best model writes at the end, and of which up to 200 are written to metrics.jsonl on the way; 0 for none
    # [default: 400]
    sample: int | None
    # Look at the gradient every N updates: lag profile, norms and update-to-weight ratios by parameter, saturated units, for metrics.jsonl and
    # report.html. It takes a small part of the memory budget and, at 50, under 3% of the time [default: off]
    monitor: int | None
    # Write the figures for TensorBoard too, in the run's folder tensorboard
    tensorboard: bool | None
