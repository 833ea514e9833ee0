//! The message for an unknown flag: the nearest one, or the one that has this name in other programs.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Names in char-rnn, torch-rnn, PyTorch, Keras, the Transformers, forecasting libraries and the like, and their equivalents here, each followed by
/// the value it needs, if any.
const FOREIGN: [(&[&str], &str); 35] = [
    // From an earlier version.
    (&["history"], "stash"),
    (
        &["seq-len", "seq-length", "sequence-length", "bptt", "bptt-len", "block-size", "unroll", "tbptt", "context-length", "window", "time-steps"],
        "truncation regular:N",
    ),
    (&["learning-rate", "rate", "step-size", "eta"], "lr"),
    (&["batch-size", "minibatch", "bs", "per-device-train-batch-size"], "batch"),
    (&["rnn-size", "hidden-size", "hidden-dim", "n-hidden", "num-hidden", "nhid", "units", "hidden-units", "n-units", "width"], "hidden"),
    (&["num-layers", "n-layers", "nlayers", "depth", "n-layer"], "layers"),
    (&["max-epochs", "num-epochs", "n-epochs", "epoch", "num-train-epochs"], "epochs"),
    (&["steps", "max-steps", "iterations", "iters", "max-iters", "n-iters", "num-steps", "train-steps"], "updates"),
    (&["embedding-size", "embedding-dim", "emsize", "embed-size", "wordvec-size", "embedding"], "embed"),
    (&["drop", "dropout-rate", "drop-prob"], "dropout"),
    (&["nonlinearity", "act", "activation-function"], "activation"),
    (&["grad-clip", "clip", "clip-grad", "max-grad-norm", "gradient-clip", "clip-gradients", "gradient-clip-val", "clipnorm"], "clip-norm"),
    (&["weight-decay", "wd"], "optimizer adamw:DECAY"),
    (&["momentum"], "optimizer sgd:MOMENTUM"),
    (&["optim", "opt", "algorithm"], "optimizer"),
    (&["scheduler", "lr-scheduler", "lr-schedule", "learning-rate-decay", "lr-decay"], "schedule"),
    (&["warmup-steps", "warmup-updates", "warmup-iters"], "warmup"),
    (&["random-seed", "random-state", "rng-seed"], "seed"),
    (&["gpu", "cuda", "gpuid", "use-gpu", "accelerator", "backend", "cpu", "no-cuda"], "device"),
    (&["val-split", "validation-split", "val-frac", "test-fraction", "test-size", "validation-fraction", "valid-fraction", "holdout"], "val-fraction"),
    (&["early-stopping", "early-stopping-patience", "early-stop"], "patience"),
    (&["eval-every", "eval-val-every", "validate-every", "eval-interval", "eval-steps", "validation-interval"], "val-every"),
    (&["print-every", "log-interval", "logging-steps", "log-steps", "report-every"], "log-every"),
    (&["checkpoint-every", "save-interval", "save-steps", "checkpoint-interval", "save-freq"], "save-every"),
    (&["checkpoint-dir", "save-dir", "output", "output-dir", "out-dir", "logdir", "log-dir", "run-dir", "save"], "out"),
    (&["init-from", "pretrained", "load", "checkpoint", "from-pretrained", "restore", "finetune", "resume-from"], "from"),
    (&["continue", "resume-from-checkpoint"], "resume"),
    (&["initializer", "kernel-initializer", "initialization"], "init"),
    (&["char-level", "byte-level", "binary"], "bytes"),
    (&["tokenizer", "vocab", "vocab-file"], "tokens"),
    (&["temp", "sampling-temperature"], "temperature"),
    (&["n", "num-samples", "max-tokens", "max-new-tokens", "max-length", "num-chars", "sample-len"], "length"),
    (&["primetext", "start-text", "start", "prime", "prefix"], "prompt"),
    (&["forecast-horizon", "prediction-length", "fh", "h", "steps-ahead", "output-chunk-length", "n-ahead"], "horizon"),
    (&["sep", "separator-char"], "delimiter"),
];

/// The message if clap found a flag that the command does not have; `words` are those of the command line.
pub(super) fn flag(e: &clap::Error, command: &clap::Command, words: &[String]) -> Option<String> {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(found))) = (e.kind(), e.get(ContextKind::InvalidArg)) else { return None };
    // clap reads a long name after one dash as letters, and reports the first as unknown.
    let long = |w: &&String| found.len() == 2 && w.starts_with(found.as_str()) && w.len() > 2 && !w.starts_with("--");
    let found = words.iter().find(long).map_or(found.as_str(), |w| w.split('=').next().unwrap_or(w));
    if !found.starts_with('-') || found.len() < 3 {
        return Some(format!("unexpected argument '{found}' found"));
    }
    let near = if let Some(ContextValue::String(near)) = e.get(ContextKind::SuggestedArg) { Some(near.clone()) } else { None };
    let name = found.trim_start_matches('-').replace('_', "-").to_lowercase();
    let has = |flag: &str| command.get_arguments().any(|a| a.get_long() == Some(flag));
    let foreign = || FOREIGN.iter().find(|(names, flag)| names.contains(&name.as_str()) && has(flag.split(' ').next().unwrap_or(flag)));
    let tip = if has(&name) {
        format!("; write it --{name}")
    } else if let Some((_, flag)) = foreign() {
        format!("; here it is called '--{flag}'")
    } else if let Some(near) = near {
        format!("; a similar argument exists: '{near}'")
    } else {
        String::new()
    };
    Some(format!("unexpected argument '{found}' found{tip}"))
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    fn said(line: &str) -> String {
        let words: Vec<String> = std::iter::once("retrograd").chain(line.split(' ')).map(str::to_string).collect();
        let e = command().try_get_matches_from(&words).unwrap_err();
        let commands = command();
        let sub = commands.find_subcommand(&words[1]).unwrap();
        flag(&e, sub, &words).unwrap()
    }

    #[test]
    fn names_of_other_programs_are_known() {
        let cases = [
            ("train a.txt --seq-len 50", "'--seq-len' found; here it is called '--truncation regular:N'"),
            ("train a.txt -seq_length 50", "'-seq_length' found; here it is called '--truncation regular:N'"),
            ("train a.txt --batch_size=4", "'--batch_size' found; here it is called '--batch'"),
            ("train a.txt --learning-rate 1", "'--learning-rate' found; here it is called '--lr'"),
            ("train a.txt --val_every 4", "'--val_every' found; write it --val-every"),
            ("train a.txt --Hidden 4", "'--Hidden' found; write it --hidden"),
            ("sample r --temp 1", "'--temp' found; here it is called '--temperature'"),
            ("train a.txt --hiden 4", "'--hiden' found; a similar argument exists: '--hidden'"),
            // A flag that this command lacks is not offered, and a word that looks like a flag is not read as a value.
            ("sample r --seq-len 4", "'--seq-len' found"),
            ("train a.txt --xyzzy", "'--xyzzy' found"),
            ("train a.txt b.txt", "'b.txt' found"),
        ];
        for (line, wanted) in cases {
            assert_eq!(said(line), format!("unexpected argument {wanted}"), "{line}");
        }
    }

    #[test]
    fn what_stands_for_foreign_names_is_there() {
        let flags: Vec<String> =
            command().get_subcommands().flat_map(|c| c.get_arguments().filter_map(|a| a.get_long().map(str::to_string)).collect::<Vec<_>>()).collect();
        for (_, ours) in FOREIGN {
            let flag = ours.split(' ').next().unwrap();
            assert!(flags.iter().any(|f| f == flag), "--{flag}");
        }
    }

    #[test]
    fn no_help_text_is_written_for_rustdoc() {
        fn texts(command: &clap::Command, out: &mut Vec<String>) {
            let mut command = command.clone();
            out.push(command.render_long_help().to_string());
            command.get_subcommands().for_each(|c| texts(c, out));
        }
        let mut all = Vec::new();
        texts(&command(), &mut all);
        assert!(all.len() > 10);
        for text in all {
            for mark in ["[`", "`]", "crate::", "]("] {
                assert!(!text.contains(mark), "{mark} in:\n{text}");
            }
        }
    }
}
