//! The defaults for forecasts of series, and their evaluation: each target and series separately, on new rows.

use crate::cli::{file, folder, ok, refused, str};
use retrograd::data::{ColumnSpec, Difference, Missing, SeriesSpec, Sheet, Table, Text};
use retrograd::model::RegressionLoss;
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The i-th noise value between -1 and 1, the same everywhere.
fn noise(i: u64) -> f64 {
    let mut x = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn wave(i: usize, period: f64) -> f64 {
    (std::f64::consts::TAU * i as f64 / period).sin()
}

/// The i-th day of a calendar without leap years.
fn day(i: usize) -> String {
    format!("{:04}-{:02}-{:02}", 2000 + i / 336, 1 + i % 336 / 28, 1 + i % 28)
}

fn csv(rows: usize, columns: &[(&str, &dyn Fn(usize) -> f64)]) -> String {
    let names: Vec<&str> = columns.iter().map(|c| c.0).collect();
    let mut out = format!("day,{}\n", names.join(","));
    for i in 0..rows {
        let cells: Vec<String> = columns.iter().map(|c| c.1(i).to_string()).collect();
        writeln!(out, "{},{}", day(i), cells.join(",")).unwrap();
    }
    out
}

fn fresh(name: &str) -> PathBuf {
    let path = folder("forecasts").join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&ok(&[args, &["--json"]].concat())[0]).unwrap()
}

fn trained(csv: &Path, name: &str, more: &[&str]) -> (PathBuf, String) {
    let out = fresh(name);
    let args = [&["train", str(csv), "--time=day", "--device=cpu", "--out", str(&out)], more].concat();
    let said = ok(&args)[1].clone();
    (out, said)
}

fn suited(horizon: u32, csv: &str, targets: &[&str]) -> Difference {
    let asked = ColumnSpec {
        targets: targets.iter().map(|t| (*t).to_string()).collect(),
        features: None,
        series: None,
        time: Some("day".into()),
        missing: Missing::Refuse,
        ..ColumnSpec::default()
    };
    let wanted =
        SeriesSpec { asked, horizon, difference: Difference::None, season: None, loss: RegressionLoss::Squared, quantiles: None, scale: Default::default() };
    Table::fit(Sheet::read(&Text::given("table", csv), &wanted.asked).unwrap(), &wanted, 0.1).unwrap().suited_difference()
}

/// Series that return to their mean are forecast by value, those that continue from the last value by changes of the targets, those that leave the range
/// of the data by changes of all columns.
#[test]
fn what_is_differenced_suits_the_series() {
    let walk = |seed: u64, i: usize| (0..i as u64).map(|k| noise(1000 * seed + k)).sum::<f64>();
    let of = |horizon, f: &dyn Fn(usize) -> f64| suited(horizon, &csv(500, &[("y", f)]), &["y"]);
    assert_eq!(of(1, &|i| 3.0 * noise(i as u64)), Difference::None);
    assert_eq!(of(12, &|i| 5.0 + wave(i, 24.0) + 0.1 * noise(i as u64)), Difference::None);
    // The same wave one hour ahead: the last value is close.
    assert_eq!(of(1, &|i| 5.0 + wave(i, 24.0) + 0.1 * noise(i as u64)), Difference::Targets);
    for horizon in [1, 8] {
        assert_eq!(of(horizon, &|i| 2.0 * i as f64), Difference::All, "a line");
        assert_eq!(of(horizon, &|i| (0.01 * i as f64).exp() * (10.0 + wave(i, 12.0))), Difference::All, "a season that grows");
        for seed in 0..6 {
            assert_ne!(of(horizon, &|i| walk(seed, i)), Difference::None, "random walk {seed}");
        }
    }
    // Two targets are judged together, and held-out rows are ignored.
    let both = csv(500, &[("y", &|i| 2.0 * i as f64 + noise(i as u64)), ("z", &|i| walk(3, i))]);
    assert_ne!(suited(3, &both, &["y", "z"]), Difference::None);
    let jump = |tail: f64| csv(500, &[("y", &move |i| noise(i as u64) + if i >= 450 { tail } else { 0.0 })]);
    assert_eq!(suited(1, &jump(1e6), &["y"]), suited(1, &jump(0.0), &["y"]));
}

/// Chosen settings are reported and written to config.toml, given settings are kept, and a resumed run has the same bytes.
#[test]
fn what_is_chosen_is_said_and_kept() {
    let table = file("chosen.csv", csv(400, &[("y", &|i| 0.5 * i as f64 + 3.0 * wave(i, 12.0) + noise(i as u64))]).as_bytes());
    let (whole, said) = trained(&table, "chosen", &["--target=y", "--horizon=3", "--updates=60"]);
    assert!(said.contains("--difference=all, as the training part suggests") && said.contains("validated every 25 updates, the best model counts"), "{said}");
    let config = std::fs::read_to_string(whole.join("config.toml")).unwrap();
    for line in ["difference = \"all\"", "val-every = 25", "hidden = 64", "optimizer = \"adamw:0.3\"", "lr = 0.003", "schedule = \"cosine:0\"", "batch = 1"] {
        assert!(config.lines().any(|l| l == line), "{line}: {config}");
    }
    let (part, said) = trained(&table, "part", &["--target=y", "--horizon=3", "--epochs=2", "--difference=none", "--hidden=8", "--val-every=7"]);
    assert!(said.contains("--difference=none)") && said.contains("every 7 updates"), "{said}");
    ok(&["train", "--resume", str(&part), "--epochs=4", "--quiet"]);
    let (again, _) = trained(&table, "again", &["--target=y", "--horizon=3", "--epochs=4", "--difference=none", "--hidden=8", "--val-every=7", "--quiet"]);
    // The schedule of the first part ended earlier, so only the chosen settings are compared.
    let keys = |run: &Path| {
        let text = std::fs::read_to_string(run.join("config.toml")).unwrap();
        text.lines().filter(|l| ["difference", "val-every", "batch", "hidden"].iter().any(|k| l.starts_with(k))).map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(keys(&part), keys(&again));
    // Repeated from its config file, the whole run has the same bytes.
    let copy = fresh("copy");
    ok(&["train", "--config", str(&whole.join("config.toml")), "--out", str(&copy), "--quiet"]);
    let model = |run: &Path| std::fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&whole) == model(&copy));
}

/// With the defaults, a trend with a season, a walk and waves are forecast better than naively.
#[test]
fn defaults_beat_naive_forecasts() {
    let trend = |i: usize| 0.3 * i as f64 + 5.0 * wave(i, 12.0) + 0.5 * noise(i as u64);
    let waves = |i: usize| wave(i, 24.0) + 0.5 * wave(i, 7.0) + 0.1 * noise(i as u64);
    for (name, f) in [("trend", &trend as &dyn Fn(usize) -> f64), ("waves", &waves)] {
        let table = file(&format!("default-{name}.csv"), csv(600, &[("y", f)]).as_bytes());
        let (run, said) = trained(&table, name, &["--target=y", "--horizon=6"]);
        let found = json(&["eval", str(&run), "--quiet"]);
        assert!(found["rmse"].as_f64() < found["naive_rmse"].as_f64() && !said.contains("without a model is better"), "{name}: {found} {said}");
    }
}

/// A small series beside a large one, and an unpredictable target beside a predictable one: each is named, whatever the weight of the others.
#[test]
fn each_series_and_target_is_judged_by_itself() {
    let mut many = "day,id,y\n".to_string();
    for i in 0..300 {
        writeln!(many, "{},big,{}", day(i), 1e6 + 2e5 * wave(i, 12.0) + 2e4 * noise(7 * i as u64)).unwrap();
        writeln!(many, "{},tiny,{}", day(i), 5.0 + 0.1 * noise(i as u64)).unwrap();
    }
    let table = file("scales.csv", many.as_bytes());
    let (run, said) = trained(&table, "scales", &["--target=y", "--series=id", "--updates=100", "--difference=none"]);
    let note = said.lines().find(|l| l.contains("without a model is better")).unwrap_or_else(|| panic!("{said}"));
    assert!(note.contains("1 of 2 series and targets: y of tiny (RMSE") && note.contains("; all series share one scale"), "{note}");
    let found = json(&["eval", str(&run), "--quiet"]);
    let parts = found["by_series"].as_array().unwrap();
    assert_eq!((&parts[0]["name"], &parts[1]["name"], &parts[1]["scored_steps"]), (&"big".into(), &"tiny".into(), &30.into()));
    let of = |i: usize, key: &str| parts[i]["targets"][0][key].as_f64().unwrap();
    assert!(of(0, "rmse") < of(0, "naive_rmse") && of(1, "rmse") > of(1, "naive_rmse"));
    let mean = (of(0, "rmse") / of(0, "naive_rmse") + of(1, "rmse") / of(1, "naive_rmse")) / 2.0;
    assert!((found["scaled_rmse"].as_f64().unwrap() - mean).abs() < 1e-9 * mean);
    assert!(found["rmse"].as_f64() < found["naive_rmse"].as_f64(), "the pooled figure hides it");
    // `eval` reports the same, and the page lists both.
    assert!(ok(&["eval", str(&run)])[1].contains("y of tiny"));
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("Errors by series") && page.contains("y of tiny") && page.contains("better for 1 of 2"));

    let table = file(
        "units.csv",
        csv(400, &[("revenue", &|i| 1e6 * (2.0 + wave(i, 12.0) + 0.1 * noise(7 * i as u64))), ("rate", &|i| 0.01 * i as f64 + 1e-3 * noise(i as u64))])
            .as_bytes(),
    );
    let (_, said) = trained(&table, "units", &["--target=revenue,rate", "--updates=200", "--difference=none"]);
    assert!(said.lines().any(|l| l.contains("better for 1 of 2 targets: rate (RMSE")), "{said}");
    assert!(said.contains("mean over 2 targets: RMSE is"), "{said}");
}

/// Series and labels use the best model by validation, texts the last; the other is available on request.
#[test]
fn the_best_model_is_the_default_of_series_and_labels() {
    let table = file("best.csv", csv(200, &[("y", &|i| noise(i as u64))]).as_bytes());
    // Noise is memorised, so the last model is worse.
    let (run, said) = trained(&table, "best", &["--target=y", "--updates=300", "--lr=1e-2", "--schedule=constant"]);
    let [default, best, last] = [&[][..], &["--best"], &["--last-model"]].map(|more| json(&[&["eval", str(&run), "--quiet"], more].concat()));
    assert_eq!(default["rmse"], best["rmse"]);
    assert!(default["rmse"].as_f64() < last["rmse"].as_f64(), "{default} {last}");
    assert!(default["model"].as_str().unwrap().ends_with("best.safetensors") && last["model"].as_str().unwrap().ends_with("model.safetensors"));
    assert!(said.contains("by the best model, of update"), "{said}");
    let told: Value = serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    assert_eq!(told["rmse"], default["rmse"], "the end of training tells of the model that is used");
    assert!(ok(&["eval", str(&run)])[1].contains("best.safetensors, the best by validation (--last-model takes the last)"));
    let predicted = |more: &[&str]| ok(&[&["predict", str(&run), "--last=5", "--quiet"], more].concat())[0].clone();
    assert!(predicted(&[]) == predicted(&["--best"]) && predicted(&[]) != predicted(&["--last-model"]));
    let exported = |name: &str, more: &[&str]| {
        let path = folder("forecasts").join(name);
        let _ = std::fs::remove_file(&path);
        json(&[&["export", str(&run), str(&path)], more].concat())["model"].as_str().unwrap().to_string()
    };
    assert!(exported("a.safetensors", &[]).ends_with("best.safetensors") && exported("b.safetensors", &["--last-model"]).ends_with("model.safetensors"));
    // The starting weights of another run.
    let (from, _) = trained(&table, "from", &["--target=y", "--updates=1", "--from", str(&run)]);
    assert_eq!(std::fs::read(from.join("start.safetensors")).unwrap(), std::fs::read(run.join("best.safetensors")).unwrap());
    refused(&["eval", str(&run), "--best", "--last-model"], 2, &["--last-model", "--best"]);
    refused(&["predict", str(&run.join("best.safetensors")), str(&table), "--last-model"], 2, &["--last-model chooses among the models of a run"]);

    let lines: String = (0..120).map(|i| format!("{}\t{}\n", ["aab", "abb", "bba"][i % 3], if noise(i as u64) > 0.0 { "x" } else { "y" })).collect();
    let lines = file("best.tsv", lines.as_bytes());
    let labels = fresh("labels");
    ok(&["train", str(&lines), "--label-column=2", "--hidden=16", "--updates=60", "--val-every=5", "--device=cpu", "--quiet", "--out", str(&labels)]);
    let model = |more: &[&str]| json(&[&["eval", str(&labels), str(&lines), "--device=cpu", "--quiet"], more].concat())["model"].as_str().unwrap().to_string();
    assert!(model(&[]).ends_with("best.safetensors") && model(&["--last-model"]).ends_with("model.safetensors"));
    let text = fresh("text");
    ok(&["train", "--hidden=4", "--batch=4", "--updates=1", "--device=cpu", "--quiet", "--out", str(&text)]);
    assert!(json(&["sample", str(&text), "--length=1"])["model"].as_str().unwrap().ends_with("model.safetensors"));
}

/// Data unchanged, moved, longer, or different: `eval` scores what is new to the model, or says that it can't know.
#[test]
fn eval_knows_the_data_of_its_run() {
    let rows = |n: usize| csv(n, &[("y", &|i| wave(i, 12.0) + 0.1 * noise(i as u64))]);
    let table = file("known.csv", rows(200).as_bytes());
    let (run, _) = trained(&table, "known", &["--target=y", "--horizon=2", "--updates=30", "--hidden=8"]);
    let eval = |more: &[&str]| {
        let args = [&["eval", str(&run), "--json"], more].concat();
        let [found, said] = ok(&args);
        (serde_json::from_str::<Value>(&found).unwrap(), said)
    };
    let (own, said) = eval(&[]);
    assert!(own["scored_steps"] == 19 && !said.contains("grown") && !said.contains("warning"), "{own} {said}");
    let moved = file("moved.csv", rows(200).as_bytes());
    let (there, said) = eval(&[str(&moved)]);
    assert!(there["rmse"] == own["rmse"] && said.contains("moved.csv is what the run was trained on; the part that was held out is scored"), "{said}");
    let longer = file("longer.csv", rows(230).as_bytes());
    let (grown, said) = eval(&[str(&longer)]);
    assert!(
        grown["scored_steps"] == 49 && said.contains("longer.csv has grown by 30 rows since the run was trained; they are scored with those"),
        "{grown} {said}"
    );
    let other = file("others.csv", rows(230).replace("0.", "0.1").as_bytes());
    let (found, said) = eval(&[str(&other)]);
    assert!(found["scored_steps"] == 228 && !said.contains("warning"), "{found} {said}");
    // Under its own path.
    std::fs::write(&table, rows(203)).unwrap();
    let (grown, said) = eval(&[]);
    assert!(grown["scored_steps"] == 22 && said.contains("has grown by 3 rows"), "{grown} {said}");
    std::fs::write(&table, rows(150)).unwrap();
    let (cut, said) = eval(&[]);
    assert!(cut["scored_steps"] == 14 && said.contains("warning: ") && said.contains("is not the file that this run was trained on: it has"), "{cut} {said}");
    assert!(said.contains("rows of which may have been trained on"), "{said}");
    // If nothing was held out, only new rows.
    let all = file("all.csv", rows(100).as_bytes());
    let (run, _) = trained(&all, "all", &["--target=y", "--horizon=2", "--updates=5", "--hidden=8", "--val-fraction=0"]);
    refused(&["eval", str(&run)], 2, &["nothing of the data", "held out", "--last"]);
    std::fs::write(&all, rows(101)).unwrap();
    refused(&["eval", str(&run)], 1, &["no row that is new to the model has 2 more after it", "--last"]);
    std::fs::write(&all, rows(110)).unwrap();
    let [found, said] = ok(&["eval", str(&run), "--json"]);
    assert!(serde_json::from_str::<Value>(&found).unwrap()["scored_steps"] == 9 && said.contains("has grown by 10 rows"), "{found} {said}");
}

/// Pictures show the times of rows below and the rows to come on the right, and say which horizons they leave out.
#[test]
fn pictures_have_times_and_rows_to_come() {
    let table = file("drawn.csv", csv(300, &[("y", &|i| wave(i, 12.0) + 0.1 * noise(i as u64))]).as_bytes());
    let (run, _) = trained(&table, "drawn", &["--target=y", "--horizon=8", "--updates=20", "--hidden=8"]);
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    for words in
        [">time<", ">2000-", ">rows to come<", "At the right 8 rows to come.", "Forecasts 2 to 7 rows ahead are not drawn.", "Of 8 horizons 6 are shown"]
    {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("row of the series<"));
    let forecast: Value = serde_json::from_slice(&std::fs::read(run.join("forecast.json")).unwrap()).unwrap();
    assert_eq!((forecast["drawn"][0]["coming"].as_array().unwrap().len(), forecast["drawn"][0]["row_times"].as_array().unwrap().len()), (8, 30));
    // Without a time column there are row numbers, as in pages of `eval` and `predict`.
    let plain = file(
        "undated.csv",
        csv(300, &[("y", &|i| wave(i, 12.0))]).split('\n').map(|l| l.split(',').next_back().unwrap()).collect::<Vec<_>>().join("\n").as_bytes(),
    );
    let out = fresh("undated");
    ok(&["train", str(&plain), "--target=y", "--updates=5", "--hidden=8", "--device=cpu", "--quiet", "--out", str(&out)]);
    for (command, more) in [("eval", "--last=20"), ("predict", "--last=20")] {
        let page = folder("forecasts").join(format!("{command}.html"));
        let _ = std::fs::remove_file(&page);
        ok(&[command, str(&out), more, "--quiet", "--report", str(&page)]);
        let page = std::fs::read_to_string(&page).unwrap();
        assert!(page.contains("row of the series<") && page.contains(">rows to come<") && page.contains("At the right 1 row to come."), "{command}");
    }
}
