//! Quantiles and scales of series: bands that hold what they should, forecasts that follow the size of a series, and what is refused.

use crate::cli::{file, folder, refused, retrograd, str, text};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn fresh(name: &str) -> PathBuf {
    let path = folder("bands").join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn json(args: &[&str]) -> Value {
    let out = retrograd(args);
    assert!(out.status.success(), "{args:?}: {}", text(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// A daily wave under noise, a sum of uniform numbers; its size may follow the wave.
fn noisy(name: &str, rows: usize, follows: bool, seed: u64) -> PathBuf {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut out = "y\n".to_string();
    for t in 0..rows {
        let wave = (t as f64 * std::f64::consts::TAU / 24.0).sin();
        let noise: f64 = (0..4).map(|_| rng.random_range(-1.0..1.0)).sum();
        out += &format!("{:.5}\n", 100.0 + 20.0 * wave + noise * if follows { 3.0 + 2.0 * wave } else { 3.0 });
    }
    file(name, out.as_bytes())
}

const FLAGS: [&str; 9] =
    ["--cell=gru", "--hidden=16", "--updates=400", "--horizon=3", "--val-fraction=0.3", "--difference=none", "--device=cpu", "--quiet", "--json"];

/// Trains with [`FLAGS`], but for the flags given.
fn train(table: &Path, run: &Path, more: &[&str]) -> Value {
    let key = |flag: &str| flag.split('=').next().unwrap_or_default().to_string();
    let own: Vec<&str> = FLAGS.into_iter().filter(|f| !more.iter().any(|m| key(m) == key(f))).collect();
    json(&[&["train", str(table), "--out", str(run)][..], &own, more].concat())
}

/// Of two sets the band from 0.1 to 0.9 holds 80% of the held-out tail, to within 5 points.
#[test]
fn the_band_holds_what_it_should() {
    for (name, follows) in [("even", false), ("follows", true)] {
        let (table, run) = (noisy(&format!("{name}.csv"), 4000, follows, 3), fresh(name));
        let summary = train(&table, &run, &["--target=y", "--quantiles=0.1,0.25,0.5,0.75,0.9"]);
        let found = json(&["eval", str(&run), "--json"]);
        let bands = found["quantiles"]["bands"].as_array().unwrap();
        let nominal: Vec<f64> = bands.iter().map(|b| b["nominal"].as_f64().unwrap()).collect();
        assert!((nominal[0] - 0.8).abs() < 1e-12 && (nominal[1] - 0.5).abs() < 1e-12, "{found}");
        for band in bands {
            assert!((band["coverage"].as_f64().unwrap() - band["nominal"].as_f64().unwrap()).abs() < 0.05, "{name}: {band}");
        }
        assert!(bands[0]["width"].as_f64() > bands[1]["width"].as_f64());
        // What `eval` says is what training validated.
        let (loss, best) = (found["loss"].as_f64().unwrap(), summary["best_val_loss"].as_f64().unwrap());
        assert!((loss - best).abs() < 1e-4 * best, "{name}: {loss} {best}");
        let shown = text(&retrograd(&["eval", str(&run)]).stdout);
        assert!(shown.contains("lie in the band of 0.1 to 0.9 (80% should)"), "{shown}");
        let page = std::fs::read_to_string(run.join("report.html")).unwrap();
        assert!(page.contains("should hold") && page.contains("band"), "{name}");
    }
}

/// Predicted quantiles rise with their level, and the forecast is that of 0.5.
#[test]
fn predicted_quantiles_are_sorted() {
    let (table, run) = (noisy("sorted.csv", 600, false, 5), fresh("sorted"));
    // Few updates: fresh outputs cross.
    train(&table, &run, &["--target=y", "--quantiles=0.1,0.5,0.9", "--updates=2"]);
    let written = text(&retrograd(&["predict", str(&run), str(&table), "--last=50"]).stdout);
    let mut lines = written.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!(names, ["y", "y+1", "y+2", "y+3", "y+1@0.1", "y+1@0.9", "y+2@0.1", "y+2@0.9", "y+3@0.1", "y+3@0.9"]);
    let mut count = 0;
    for line in lines {
        let cells: Vec<Option<f64>> = line.split(',').map(|c| c.parse().ok()).collect();
        for h in 0..3 {
            if let (Some(low), Some(middle), Some(high)) = (cells[4 + 2 * h], cells[1 + h], cells[5 + 2 * h]) {
                assert!(low <= middle && middle <= high, "{line}");
                count += 1;
            }
        }
    }
    assert_eq!(count, 3 * 50 + 3 + 2 + 1);
}

/// Series of very different sizes: `unit` times a wave under noise, above `base`.
fn sized(name: &str, sizes: &[(&str, f64, f64)], rows: usize, seed: u64) -> PathBuf {
    let mut out = "id,y\n".to_string();
    for (id, unit, base) in sizes {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for t in 0..rows {
            let wave = (t as f64 * std::f64::consts::TAU / 12.0).sin();
            out += &format!("{id},{}\n", base + unit * (wave + rng.random_range(-0.1..0.1)));
        }
    }
    file(name, out.as_bytes())
}

#[test]
fn forecasts_follow_the_size_of_a_series() {
    let table = sized("sizes.csv", &[("small", 1.0, 5.0), ("large", 1e6, -4e7), ("other", 30.0, 0.0)], 400, 1);
    let run = fresh("sizes");
    let summary = train(&table, &run, &["--target=y", "--series=id", "--scale=series", "--updates=300"]);
    let found = json(&["eval", str(&run), "--json"]);
    for series in found["by_series"].as_array().unwrap() {
        let one = &series["targets"][0];
        assert!(one["rmse"].as_f64().unwrap() < 0.35 * one["naive_rmse"].as_f64().unwrap(), "{series}");
    }
    let (loss, best) = (found["loss"].as_f64().unwrap(), summary["best_val_loss"].as_f64().unwrap());
    assert!((loss - best).abs() < 1e-4 * best, "{loss} {best}");
    // New series: one and the same series in two sizes has one forecast in two sizes.
    let forecast = |unit: f64, base: f64| -> Vec<f64> {
        let new = sized("new.csv", &[("new", unit, base)], 200, 9);
        let out = text(&retrograd(&["predict", str(&run), str(&new), "--last=0", "--quiet"]).stdout);
        out.lines().skip(1).enumerate().map(|(i, line)| line.split(',').nth(2 + i).unwrap().parse::<f64>().unwrap()).collect()
    };
    let (one, other) = (forecast(1.0, 0.0), forecast(1e4, 7e5));
    assert!(one.len() == 3 && one.iter().any(|x| x.abs() > 0.2), "{one:?}");
    for (a, b) in one.iter().zip(&other) {
        assert!((a - (b - 7e5) / 1e4).abs() < 1e-4, "{one:?} {other:?}");
    }
    // Going on gives the same bytes as never having stopped.
    let flags = ["--target=y", "--series=id", "--scale=series", "--quantiles=0.05,0.5,0.95", "--schedule=constant"];
    let (parts, whole) = (fresh("parts"), fresh("whole"));
    train(&table, &parts, &[&flags[..], &["--updates=20"]].concat());
    json(&["train", "--resume", str(&parts), "--updates=40", "--quiet", "--json"]);
    train(&table, &whole, &[&flags[..], &["--updates=40"]].concat());
    let model = |run: &Path| std::fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&parts) == model(&whole));
}

/// With fresh weights near 0, changes from one season before are the seasonal naive forecast. A level that moves is read from the changes.
#[test]
fn changes_from_a_season_before_begin_with_the_seasonal_naive_forecast() {
    let (table, run) = (noisy("season.csv", 900, false, 8), fresh("season"));
    train(&table, &run, &["--target=y", "--difference=season", "--season=24", "--init=normal:1e-6", "--updates=1", "--lr=1e-9"]);
    let found = json(&["eval", str(&run), "--json", "--last-model"]);
    let (rmse, seasonal) = (found["rmse"].as_f64().unwrap(), found["seasonal_rmse"].as_f64().unwrap());
    assert!((rmse - seasonal).abs() < 0.01 * seasonal, "{rmse} {seasonal}");
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let rows: String = (0..200).map(|_| format!("{:.4}\n", rng.random_range(0.0..1.0))).collect();
    let moving: String = (0..900)
        .scan(0.0, |level, t| {
            *level += if t % 90 == 0 { rng.random_range(-40.0..40.0) } else { 0.0 };
            Some(format!("{:.4}\n", *level + 20.0 * (f64::from(t) * std::f64::consts::TAU / 24.0).sin()))
        })
        .collect();
    let (moving, better) = (file("moving.csv", format!("y\n{moving}").as_bytes()), fresh("season-trained"));
    train(&moving, &better, &["--target=y", "--difference=season", "--season=24"]);
    let found = json(&["eval", str(&better), "--json"]);
    assert!(found["rmse"].as_f64().unwrap() < 0.8 * found["seasonal_rmse"].as_f64().unwrap(), "{found}");
    let flat = file("flat.csv", format!("y\n{rows}").as_bytes());
    refused(
        &["train", str(&flat), "--target=y", "--difference=season", "--out", str(&fresh("none"))],
        2,
        &["--difference season", "give its rows by --season"],
    );
}

#[test]
fn what_can_not_be_is_refused() {
    let table = noisy("refused-bands.csv", 200, false, 1);
    for (levels, words) in [
        ("0.9,0.5,0.1", "does not rise"),
        ("0.1,0.5,0.5", "does not rise"),
        ("0,0.5", "not between 0 and 1"),
        ("0.5,1.5", "not between 0 and 1"),
        ("0.1,0.9", "lacks 0.5"),
        ("low,0.5", "is no list of levels"),
        ("0.5,0.123456", "more than 4 digits"),
        ("0.01,0.02,0.03,0.04,0.05,0.06,0.07,0.08,0.5,0.9", "more than 9 levels"),
    ] {
        refused(&["train", str(&table), "--target=y", "--quantiles", levels], 2, &[words]);
    }
    refused(&["train", str(&table), "--target=y", "--quantiles=0.5", "--loss=absolute"], 2, &["--quantiles have a loss of their own"]);
    refused(&["train", str(&table), "--quantiles=0.5"], 2, &["--quantiles is about numeric series"]);
    let run = fresh("from");
    train(&table, &run, &["--target=y", "--updates=2"]);
    refused(&["train", str(&table), "--target=y", "--horizon=3", "--difference=none", "--from", str(&run), "--quantiles=0.5"], 2, &["--quantiles is 0.5 here"]);
    refused(&["train", str(&table), "--target=y", "--horizon=3", "--difference=none", "--from", str(&run), "--scale=series"], 2, &["--scale is series here"]);
}
