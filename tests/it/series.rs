//! Numeric series: refused tables, inputs, targets and held-out rows, baselines, runs from a CSV file to forecasts.

use crate::cli::{file, folder, refused, retrograd, text};
use crate::devices::{both, cpu, without_gpu};
use retrograd::data::{ColumnSpec, Difference, Missing, SeriesSpec, Sheet, Table, Text};
use retrograd::device::Device;
use retrograd::forecast::{Forecasts, Method, baseline};
use retrograd::model::RegressionLoss;
use retrograd::trainer::{Corpus, Settings, Trainer};
use retrograd::truncation::Truncation;
use serde_json::Value;
use std::f64::consts::TAU;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn asked(targets: &[&str]) -> ColumnSpec {
    let targets = targets.iter().map(|t| (*t).to_string()).collect();
    ColumnSpec { targets, ..ColumnSpec::default() }
}

fn wanted(asked: ColumnSpec, horizon: u32) -> SeriesSpec {
    SeriesSpec { asked, horizon, difference: Difference::None, season: None, loss: RegressionLoss::Squared, quantiles: None, scale: Default::default() }
}

fn table(csv: &str, wanted: &SeriesSpec, fraction: f64) -> Table {
    Table::fit(Sheet::read(&Text::given("table", csv), &wanted.asked).unwrap(), wanted, fraction).unwrap()
}

/// The i-th noise value between -1 and 1, the same everywhere.
fn noise(i: u64) -> f64 {
    let mut x = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// Two columns: a noisy wave with a period of 12 rows, and one that follows it by 3 rows.
fn waves(rows: usize) -> String {
    let mut csv = "day,x,y\n".to_string();
    for i in 0..rows {
        let wave = |i: f64| 10.0 + 3.0 * (TAU * i / 12.0).sin();
        writeln!(csv, "{i},{},{}", wave(i as f64) + 0.1 * noise(i as u64), 100.0 * wave(i as f64 - 3.0)).unwrap();
    }
    csv
}

/// A table, the columns to forecast, more flags, the exit code, and parts of the message.
type Refused<'a> = (&'a str, &'a str, &'a [&'a str], i32, &'a [&'a str]);

#[test]
fn bad_tables_are_refused() {
    let good = "a,b\n1,2\n2,4\n3,5\n4,1\n5,3\n6,8\n7,1\n8,2\n9,5\n";
    let cases: &[Refused] = &[
        ("", "", &[], 1, &["it is empty"]),
        ("\n\n", "", &[], 1, &["is empty", "first line names the columns"]),
        ("a,b\n", "", &[], 1, &["header (a, b) and no rows"]),
        ("a,b\n1,2\n3\n", "", &[], 1, &["line 3", "1 cell,", "names 2 (a, b)"]),
        ("a,b\n1,2\n\n\n3,4,5\n", "", &[], 1, &["line 5", "3 cells"]),
        ("a,b\n1,2\n3,x\n", "", &[], 1, &["line 3, column \"b\"", "\"x\" is text", "--ignore"]),
        ("a,b\n1,2\n3,2020-01-31\n", "", &[], 1, &["line 3, column \"b\"", "date", "--time"]),
        ("a,b\n1,2\n3,NaN\n", "", &[], 1, &["line 3, column \"b\"", "\"NaN\" is no number", "--missing"]),
        ("a,b\n1,2\n3,\n", "", &[], 1, &["line 3, column \"b\"", "the cell is empty", "--missing"]),
        ("a,b\n1,2\n-inf,3\n", "", &[], 1, &["line 3, column \"a\"", "infinite"]),
        ("a,b\n1,2\n1e39,3\n", "", &[], 1, &["line 3, column \"a\"", "3.4e38"]),
        ("a,b\n1,2\n\"3,500\",3\n", "", &[], 1, &["line 3", "\"3,500\"", "--decimal ."]),
        ("a,b\n1.5,2\n\"3,5\",3\n", "", &[], 1, &["line 2", "\"1.5\"", "line 3", "\"3,5\"", "alike"]),
        ("a,b\n1.5,2\n\"3,5\",3\n", "", &["--decimal=."], 1, &["line 3, column \"a\"", "\"3,5\"", "--decimal"]),
        ("a,a\n1,2\n", "", &[], 1, &["columns 1 and 2", "\"a\""]),
        ("a,b,b\n1,2,3\n", "", &[], 1, &["columns 2 and 3", "\"b\"", "--ignore"]),
        ("1,2\n3,4\n", "", &[], 1, &["line 1", "numbers (1, 2)", "name for each column"]),
        ("a;b\n1;2\n", "", &["--delimiter=,"], 1, &["one column only", "--delimiter ';'"]),
        ("a\tb\n1\t2\n", "", &["--delimiter=,"], 1, &["one column only", "--delimiter '\\t'"]),
        ("a,b\n1,\"2\n3,4\n5,6\n", "", &[], 1, &["line 2: a quote opens here and never closes", "twice"]),
        ("a,\"b, c\"\n1,2\n", "b, c", &[], 1, &["no column \"b\"", "--target '\"b, c\"'"]),
        (good, "a", &["--ignore=c"], 1, &["no column \"c\", which --ignore names"]),
        (good, "a", &["--ignore=a"], 2, &["\"a\"", "--target and by --ignore"]),
        (good, "a", &["--ignore=b", "--features=a"], 2, &["--ignore", "--features"]),
        (good, "a", &["--time-format=%d/%m/%Y"], 2, &["--time"]),
        (good, "a", &["--time=b", "--time-format=day"], 2, &["--time-format", "strftime"]),
        (good, "a", &["--decimal=;"], 2, &["--decimal", "expected . or ,"]),
        ("a,b\n1,2\n3,\u{0}\u{1}", "", &[], 1, &["line 3, column \"b\""]),
        (good, "c", &[], 1, &["no column \"c\", which --target names", "a, b"]),
        (good, "a", &["--features=a,x y"], 1, &["no column \"x y\", which --features names"]),
        (good, "a", &["--series=c"], 1, &["--series names"]),
        (good, "a", &["--time=c"], 1, &["--time names"]),
        (good, "a", &["--time=a"], 2, &["\"a\"", "--target and by --time"]),
        (good, "a", &["--features=b,b"], 2, &["--features", "\"b\" twice"]),
        (good, "a,,b", &[], 2, &["--target", "without a name"]),
        (good, "a", &["--horizon=5"], 1, &["has 9 rows", "forecasts of 5 ahead", "need 11", "lower --horizon"]),
        (good, "a", &["--horizon=5", "--val-fraction=0", "--batch=5"], 1, &["too short for 5 lanes"]),
        (good, "a", &["--horizon=0"], 2, &["--horizon", "0"]),
        (good, "a", &["--delimiter=ab"], 2, &["--delimiter", "one ASCII character"]),
        ("a,b\n1,3\n1,4\n1,3\n1,3\n1,5\n", "a", &[], 1, &["column \"a\"", "the same in every row", "nothing to forecast"]),
        ("a,b\n1,3\n1,4\n1,3\n1,3\n1,5\n", "a", &["--difference"], 1, &["column \"a\"", "the same in every row"]),
        ("s,a\nx,1\ny,2\ny,5\n", "a", &["--series=s"], 1, &["series \"x\"", "has 1 row", "need 3"]),
        ("s,a\nx,1\n,2\n", "a", &["--series=s"], 1, &["line 3, column \"s\"", "no series"]),
        ("t,a\n1,0\n3,1\n2,2\n4,1\n", "a", &["--time=t"], 1, &["line 4, column \"t\"", "\"2\" after \"3\" in line 3", "sort", "--series"]),
        ("t,a\n1,1\n1,2\n", "a", &["--time=t"], 1, &["line 3", "\"1\" is the time of line 2 too", "--series"]),
        ("t,a\nMon,1\nTue,2\n", "a", &["--time=t"], 1, &["line 2, column \"t\"", "\"Mon\" is in no notation of time that is known", "--time-format"]),
        ("t,a\n1,1\n,2\n", "a", &["--time=t"], 1, &["line 3, column \"t\"", "the row has no time"]),
        ("a,b\n,3\n2,4\n", "a", &["--missing=previous"], 1, &["line 2, column \"a\"", "no number stands before it"]),
        ("a,b\n,3\n,4\n,1\n,6\n", "a", &["--missing=mean"], 1, &["column \"a\" has no number"]),
    ];
    for (i, (csv, target, more, code, words)) in cases.iter().enumerate() {
        let path = file(&format!("bad-{i}.csv"), csv.as_bytes());
        let target = format!("--target={}", if target.is_empty() { "a" } else { target });
        let args = [&["train", path.to_str().unwrap(), &target, "--device=cpu"], *more].concat();
        refused(&args, *code, words);
    }
    let latin = file("latin.csv", b"a,b\n1,2\n3,\xe9\n");
    refused(&["train", latin.to_str().unwrap(), "--target=a"], 1, &["latin.csv", "line 3", "not UTF-8", "0xe9", "iconv -f WINDOWS-1252"]);
    refused(&["train", "/no/such.csv", "--target=a"], 1, &["/no/such.csv", "cannot read"]);
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let path = file("waves-flags.csv", waves(100).as_bytes());
    let path = path.to_str().unwrap();
    for (more, words) in [
        (&["--target=x", "--lines"][..], &["--target", "--lines"][..]),
        (&["--target=x", "--bytes"], &["--target", "--bytes"]),
        (&["--target=x", "--sample=10"], &["--target", "--sample"]),
        (&["--horizon=2"], &["--target"]),
        (&["--difference"], &["--target"]),
        (&["--target=x", "--loss=cubed"], &["--loss", "cubed"]),
    ] {
        refused(&[&["train", path], more].concat(), 2, words);
    }
    refused(&["train", "--target=x"], 2, &["--target needs a CSV file"]);
    let config = file("horizon.toml", b"horizon = 3\n");
    refused(&["train", path, "--config", config.to_str().unwrap()], 1, &["line 1", "by target"]);
}

/// Row p is the input at step p, and the targets of rows p + 1 to p + N are predicted, scaled by definition.
#[test]
fn rows_are_read_and_wanted_in_the_scale_of_the_training_part() {
    let csv = "t,x,y\n0,1,10\n1,2,30\n2,4,20\n3,8,60\n4,16,50\n5,100,-70\n6,-100,900\n7,3,4\n";
    let mut ask = asked(&["y", "x"]);
    ask.time = Some("t".into());
    for difference in [Difference::None, Difference::Targets, Difference::All] {
        let (reads, forecasts) = (difference == Difference::All, difference != Difference::None);
        let t = table(csv, &SeriesSpec { difference, ..wanted(ask.clone(), 2) }, 0.25);
        assert_eq!((t.held[0], t.rows(), t.sheet.feature_names()), (6, 8, vec!["x".to_string(), "y".to_string()]));
        let (x, y) = ([1.0, 2.0, 4.0, 8.0, 16.0, 100.0, -100.0, 3.0], [10.0, 30.0, 20.0, 60.0, 50.0, -70.0, 900.0, 4.0]);
        let scale = |of: &[f64]| {
            let mean = of.iter().sum::<f64>() / of.len() as f64;
            (mean, (of.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / of.len() as f64).sqrt())
        };
        // The changes of column j over h rows, or its values, in the training part.
        let changes = |j: usize, h: usize| -> Vec<f64> { (0..6 - h).map(|p| [x, y][j][p + h] - [x, y][j][p]).collect() };
        let of = |j: usize, h: usize, changed: bool| scale(&if changed { changes(j, h) } else { [x, y][j][..6].to_vec() });
        let (mut read, mut want) = ([0f32; 2], [0f32; 4]);
        t.read(3, &mut read);
        let expected = [0, 1].map(|j| {
            let (mean, deviation) = of(j, 1, reads);
            (([x, y][j][3] - if reads { [x, y][j][2] } else { 0.0 } - mean) / deviation) as f32
        });
        assert_eq!(read, expected);
        t.want(3, &mut want);
        let expected = [(1, 1), (0, 1), (1, 2), (0, 2)].map(|(j, h)| {
            let (mean, deviation) = of(j, h, forecasts);
            (([x, y][j][3 + h] - if forecasts { [x, y][j][3] } else { 0.0 } - mean) / deviation) as f32
        });
        assert_eq!(want, expected, "horizon by horizon, target by target");
        let back = t.forecast(3, &want);
        let truth = [y[4], x[4], y[5], x[5]];
        assert!(back.iter().zip(truth).all(|(a, b)| (a - b).abs() < 1e-4), "{back:?}");
    }
}

#[test]
fn many_series_and_gaps() {
    let csv = "s,v,w\nb,1,1\na,10,\nb,2,2\na,20,5\nb,NA,3\na,40,6\nb,4,9\nb,9,1\na,80,\n";
    let mut ask = ColumnSpec { series: Some("s".into()), missing: Missing::Previous, ..asked(&["v"]) };
    ask.features = Some(vec!["v".into()]);
    let t = table(csv, &wanted(ask.clone(), 1), 0.0);
    assert_eq!(t.sheet.columns[0].values.iter().collect::<Vec<_>>(), [1.0, 2.0, 2.0, 4.0, 9.0, 10.0, 20.0, 40.0, 80.0]);
    assert_eq!(t.sheet.groups.iter().map(|g| (g.name.as_deref().unwrap(), g.rows.clone())).collect::<Vec<_>>(), [("b", 0..5), ("a", 5..9)]);
    assert!(!t.sheet.columns[0].known(2) && t.sheet.columns[0].known(3));
    ask.features = None;
    ask.missing = Missing::Mean;
    let t = table(csv, &wanted(ask.clone(), 1), 0.0);
    assert_eq!(t.sheet.columns[1].values.at(5), 27.0 / 7.0);
    ask.missing = Missing::Zero;
    let t = table(csv, &wanted(ask, 1), 0.0);
    assert_eq!(t.sheet.columns[1].values.at(5), 0.0);
}

#[test]
fn baselines_are_the_last_value_and_that_of_a_season_before() {
    let csv = format!("v\n{}", (0..40).map(|i| format!("{}\n", [5, 1, 7, 3][i % 4] * 10 + i as i32)).collect::<String>());
    let t = table(&csv, &SeriesSpec { season: Some(4), ..wanted(asked(&["v"]), 6) }, 0.0);
    let v = |row: usize| f64::from([5, 1, 7, 3][row % 4] * 10 + row as i32);
    for p in [4, 9, 20] {
        for ahead in 1..=6 {
            assert_eq!(baseline(&t, Method::Naive, p, ahead, 0), Some(v(p)));
            let back = if ahead <= 4 { p + ahead - 4 } else { p + ahead - 8 };
            assert_eq!(baseline(&t, Method::Seasonal, p, ahead, 0), Some(v(back)));
        }
    }
    assert_eq!(baseline(&t, Method::Seasonal, 2, 1, 0), None, "there is no row before the first");
    assert_eq!(table(&csv, &wanted(asked(&["v"]), 1), 0.0).series.season, Some(4), "found by itself");
}

fn settings(updates: u64) -> Settings {
    Settings::default().hidden(12).batch(2).truncation(Truncation::Regular(16)).updates(updates).lr(5e-3)
}

fn trained(device: &Device, table: &Arc<Table>, updates: u64) -> Trainer {
    let settings = settings(updates);
    let mut trainer = Trainer::new(device, Corpus::of_table(table.clone(), &settings).unwrap(), settings).unwrap();
    while !trainer.done() {
        trainer.step().unwrap();
    }
    trainer
}

/// Training does not see held-out rows: not in the scales, not as targets, not as inputs.
#[test]
fn training_does_not_see_the_tail() {
    for (series, horizon) in [(None, 1), (None, 5), (Some("s"), 3)] {
        let names = |i: usize| if i.is_multiple_of(3) { "a" } else { "b" };
        let csv = |changed: bool| {
            let mut csv = "s,v,w\n".to_string();
            for i in 0..240 {
                // The last tenth of either series, and of a single one, begins after this row.
                let shift = if changed && i >= 216 { 1000.0 } else { 0.0 };
                writeln!(csv, "{},{},{}", names(i), (i as f64 / 3.0).sin() + shift, noise(i as u64) - shift).unwrap();
            }
            csv
        };
        let mut ask = ColumnSpec { series: series.map(String::from), ..asked(&["v", "w"]) };
        ask.features = Some(vec!["w".into(), "v".into()]);
        let model = |changed| {
            let table = Arc::new(table(&csv(changed), &wanted(ask.clone(), horizon), 0.1));
            let mut trainer = trained(&cpu(), &table, 40);
            (table.series.clone(), trainer.engine.parameters().unwrap(), trainer.validate().unwrap().unwrap())
        };
        let ((scales, parameters, loss), (other_scales, other, other_loss)) = (model(false), model(true));
        assert!(scales == other_scales && parameters == other, "{series:?}, {horizon}");
        assert!(loss < 5.0 && other_loss > 1000.0, "the change is seen where it is held out: {loss}, {other_loss}");
    }
}

/// The mean validation loss is that of the forecasts, computed step by step and converted back into the table's units.
#[test]
fn validation_is_the_loss_of_the_forecasts() {
    for device in both() {
        for loss in [RegressionLoss::Squared, RegressionLoss::Absolute] {
            for difference in [Difference::None, Difference::All] {
                let ask = ColumnSpec { time: Some("day".into()), ..asked(&["x", "y"]) };
                let table = Arc::new(table(&waves(300), &SeriesSpec { loss, difference, ..wanted(ask, 4) }, 0.2));
                let mut trainer = trained(&device, &table, 30);
                let (config, flat, validated) = (trainer.engine.config, trainer.engine.parameters().unwrap(), trainer.validate().unwrap().unwrap());
                let forecasts = Forecasts::of(&device, config, &flat, &table, &[table.held_out(0).start], || Ok(())).unwrap();
                let score = forecasts.score(&table, &table.held);
                assert_eq!(score.steps as usize, 60 - 3);
                let own = score.loss(&table);
                assert!((own - validated).abs() < 1e-4 * validated, "{device}, {loss:?}: {own} and {validated}");
                // By definition.
                let rows = 239..296;
                let truth = |p: usize, i: usize| table.sheet.target(i % 2).values.at(p + 1 + i / 2);
                let squares: f64 = rows.clone().map(|p| (0..8).map(|i| (forecasts.at(p)[i] - truth(p, i)).powi(2)).sum::<f64>()).sum();
                let rmse = score.all(Method::Model).unwrap().rmse();
                assert!((rmse - (squares / (57.0 * 8.0)).sqrt()).abs() < 1e-9 * rmse);
            }
        }
    }
}

/// Long series are read in pieces, whose states have forgotten their start.
#[test]
fn pieces_of_long_series_forecast_alike() {
    let short = Arc::new(table(&waves(600), &wanted(asked(&["x"]), 2), 0.1));
    let mut trainer = trained(&cpu(), &short, 150);
    let (config, flat) = (trainer.engine.config, trainer.engine.parameters().unwrap());
    let sheet = Sheet::read(&Text::given("long", waves(9000)), &short.series.asked()).unwrap();
    let long = Table::to_forecast(sheet, short.series.clone()).unwrap();
    let forecasts = Forecasts::of(&cpu(), config, &flat, &long, &[0], || Ok(())).unwrap();
    let sheet = Sheet::read(&Text::given("part", waves(8190)), &short.series.asked()).unwrap();
    let part = Table::to_forecast(sheet, short.series.clone()).unwrap();
    let alone = Forecasts::of(&cpu(), config, &flat, &part, &[0], || Ok(())).unwrap();
    assert!((0..8190).all(|p| forecasts.at(p) == alone.at(p)), "the first piece is the whole short series");
    assert!(forecasts.at(8999).iter().all(|x| x.is_finite()));
}

fn json(out: &std::process::Output) -> Value {
    assert!(out.status.success(), "{}", text(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

const SMALL: [&str; 6] = ["--hidden=16", "--lr=5e-3", "--device=cpu", "--json", "--quiet", "--out"];

fn run_on(csv: &Path, name: &str, more: &[&str]) -> (PathBuf, Value) {
    let out = folder("series").join(name);
    let args = [&["train", csv.to_str().unwrap()], &SMALL[..], &[out.to_str().unwrap()], more].concat();
    (out.clone(), json(&retrograd(&args)))
}

/// From a CSV file to forecasts that beat those without a model; the figures of training match those of `eval`, and the written forecasts match both.
#[test]
fn from_a_file_to_forecasts() {
    let csv = file("waves.csv", waves(600).as_bytes());
    let (run, found) = run_on(&csv, "whole", &["--target=x,y", "--time=day", "--horizon=4", "--updates=400"]);
    let figure = |v: &Value, key: &str| v[key].as_f64().unwrap_or_else(|| panic!("{key}: {v}"));
    assert_eq!((&found["season"], &found["scored_steps"], &found["val_bpc"]), (&12.into(), &57.into(), &Value::Null));
    for target in found["targets"].as_array().unwrap() {
        assert!(figure(target, "rmse") < 0.5 * figure(target, "naive_rmse"), "{target}");
    }
    assert!(figure(&found["targets"][1], "rmse") < 30.0, "y follows x");
    let run = run.to_str().unwrap();
    let again = json(&retrograd(&["eval", run, "--json"]));
    for key in ["rmse", "mae", "naive_rmse", "seasonal_rmse", "targets"] {
        assert_eq!(again[key], found[key], "{key}");
    }
    assert!((figure(&again, "loss") - figure(&found, "best_val_loss")).abs() < 1e-4 * figure(&again, "loss"));
    if !without_gpu() {
        let gpu = json(&retrograd(&["eval", run, "--device=gpu", "--json"]));
        assert!((figure(&gpu, "rmse") - figure(&again, "rmse")).abs() < 1e-4 * figure(&again, "rmse"));
    }
    let page = std::fs::read_to_string(Path::new(run).join("report.html")).unwrap();
    for words in ["Forecast against truth", "Forecast of x", "Forecast of y", "4 rows ahead", "seasonal naive", "squared standard deviations"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("nats") && !page.contains("bits per symbol") && !page.contains("NaN"));
    // The forecasts; those of held-out rows have the reported error.
    let out = folder("series").join("forecasts.csv");
    let told = json(&retrograd(&["predict", run, "--json", "--out", out.to_str().unwrap()]));
    assert_eq!((&told["rows"], &told["future_rows"]), (&604.into(), &4.into()));
    let written = std::fs::read_to_string(&out).unwrap();
    let rows: Vec<Vec<&str>> = written.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!(rows[0], ["day", "x", "y", "x+1", "x+2", "x+3", "x+4", "y+1", "y+2", "y+3", "y+4"]);
    assert_eq!((rows[1][0], rows[1][3], rows[2][4]), ("0", "", ""), "no row before the first forecasts it");
    let number = |row: usize, column: usize| rows[row + 1][column].parse::<f64>().unwrap();
    for h in 1..=4 {
        // Steps 539 to 595 are scored.
        let squares: f64 = (539 + h..=595 + h).map(|row| (number(row, 2 + h) - number(row, 1)).powi(2)).sum();
        let rmse = figure(&found["targets"][0]["horizons"][h - 1], "rmse");
        assert!(((squares / 57.0).sqrt() - rmse).abs() < 1e-6 * rmse, "{h}");
    }
    assert!(rows[601..].iter().zip(600..).all(|(r, day)| r[0] == day.to_string() && r[1].is_empty() && !r[6].is_empty()) && rows[604][3].is_empty());
    let last = text(&retrograd(&["predict", run, "--last=0", "--quiet"]).stdout);
    assert_eq!(last.lines().skip(1).collect::<Vec<_>>(), written.lines().skip(601).collect::<Vec<_>>());
}

#[test]
fn many_series_run() {
    let mut csv = "t;name;v\n".to_string();
    for i in 0..400 {
        for (k, name) in ["north", "south"].iter().enumerate() {
            writeln!(csv, "{i};{name};{}", if i == 7 { String::new() } else { (TAU * (i + 5 * k) as f64 / 20.0).sin().to_string() }).unwrap();
        }
    }
    let csv = file("many.csv", csv.as_bytes());
    let more = ["--target=v", "--series=name", "--time=t", "--delimiter=;", "--missing=previous", "--horizon=2", "--updates=300"];
    let (run, found) = run_on(&csv, "many", &more);
    assert!(found["rmse"].as_f64().unwrap() < 0.5 * found["naive_rmse"].as_f64().unwrap(), "{found}");
    assert_eq!(found["scored_steps"], 2 * 39);
    let last = text(&retrograd(&["predict", run.to_str().unwrap(), "--last=0", "--quiet"]).stdout);
    let heads: Vec<&str> = last.lines().map(|l| l.split(';').next().unwrap()).collect();
    assert_eq!(heads, ["name", "north", "north", "south", "south"]);
}

/// Runs stopped and resumed, repeated from their configuration, and started from the weights of another run.
#[test]
fn runs_go_on_with_the_same_bytes() {
    let csv = file("resumed.csv", waves(400).as_bytes());
    let flags = ["--target=x", "--time=day", "--horizon=3", "--difference=targets", "--loss=absolute", "--val-every=30", "--schedule=constant"];
    let (whole, _) = run_on(&csv, "resumed whole", &[&flags[..], &["--updates=120"]].concat());
    let (part, _) = run_on(&csv, "resumed part", &[&flags[..], &["--updates=50"]].concat());
    json(&retrograd(&["train", "--resume", part.to_str().unwrap(), "--updates=120", "--json", "--quiet"]));
    let model = |run: &Path| std::fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&whole) == model(&part));
    let again = folder("series").join("again");
    json(&retrograd(&["train", "--config", whole.join("config.toml").to_str().unwrap(), "--out", again.to_str().unwrap(), "--json", "--quiet"]));
    assert!(model(&whole) == model(&again));
    let (more, _) = run_on(&csv, "more", &[&flags[..], &["--updates=1", "--warmup=100000000", "--from", whole.to_str().unwrap()]].concat());
    let figure = |run: &Path| json(&retrograd(&["eval", run.to_str().unwrap(), "--json"]))["rmse"].as_f64().unwrap();
    assert!((figure(&more) - figure(&whole)).abs() < 1e-4 * figure(&whole));
    let whole = whole.to_str().unwrap();
    let train = |more: &[&str], words: &[&str]| refused(&[&["train", csv.to_str().unwrap(), "--from", whole], more].concat(), 2, words);
    train(&["--target=x", "--time=day", "--horizon=2", "--difference=targets", "--loss=absolute"], &["--horizon is 2", "3", "--from"]);
    train(&["--target=y", "--time=day"], &["--target is y", "x"]);
    train(&[], &["forecasts numeric series", "--target x"]);
    // The table has changed.
    std::fs::write(&csv, waves(401)).unwrap();
    refused(&["train", "--resume", whole, "--updates=200"], 1, &["not the text that this run was trained on"]);
}

#[test]
fn commands_for_texts_refuse_series_and_the_other_way_round() {
    let csv = file("refused.csv", waves(200).as_bytes());
    let (run, _) = run_on(&csv, "refused", &["--target=x", "--time=day", "--updates=5"]);
    let run = run.to_str().unwrap();
    refused(&["sample", run], 1, &["forecasts numeric series", "predict"]);
    refused(&["gradflow", run], 1, &["forecasts numeric series"]);
    refused(&["export", run, "x.onnx", "--onnx"], 2, &["ONNX", "--onnx"]);
    let exported = folder("series").join("exported.safetensors");
    let _ = std::fs::remove_file(&exported);
    let python = text(&retrograd(&["export", run, exported.to_str().unwrap()]).stdout);
    let body = python.split_once("as f:\n").expect("what is read of the file").1;
    assert!(body.starts_with("    series = json.loads("), "{python}");
    refused(&["eval", run, "--lanes=2"], 2, &["--lanes", "texts"]);
    refused(&["eval", run, "--last=0"], 2, &["--last 0"]);
    refused(&["train", csv.to_str().unwrap(), "--target=x", "--monitor=5"], 2, &["--monitor"]);
    let text = folder("series").join("text");
    assert!(retrograd(&["train", "--hidden=4", "--batch=4", "--updates=1", "--device=cpu", "--out", text.to_str().unwrap()]).status.success());
    refused(&["predict", text.to_str().unwrap()], 1, &["reads symbols", "--target"]);
    refused(&["eval", text.to_str().unwrap(), csv.to_str().unwrap(), "--last=5"], 2, &["--last"]);
    let plan = json(&retrograd(&["plan", csv.to_str().unwrap(), "--target=x", "--time=day", "--device=cpu", "--json", "--quiet"]));
    assert!(plan["parameters"].as_u64().unwrap() > 4_000);
}
