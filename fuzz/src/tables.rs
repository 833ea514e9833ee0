//! Readers of tables, and models of them.

use crate::targets::{answer, written};
use retrograd::data::{ColumnSpec, Columns, Difference, Kind, Labelled, Missing, NumberRows, SeriesSpec, Sheet, Table, Text, Vocabulary};
use retrograd::feed::Feed;
use retrograd::forecast::{Forecasts, Outcome};
use retrograd::model::{Config, Init};
use retrograd::store::{Model, TrainedOn};
use retrograd::trainer::Corpus;
use retrograd::{Codec, Device, MemoryPlan, RegressionLoss, Result, Settings, Truncation};
use std::sync::Arc;

pub(crate) const CELLS: [&str; 24] = [
    "",
    "NaN",
    "NA",
    "null",
    "-",
    "inf",
    "-Infinity",
    "3.4e38",
    "-3.4e38",
    "3.5e38",
    "1e-45",
    "5e-324",
    "1e-300",
    "-0",
    "1,5",
    "2020-01-31",
    "\"1\"",
    "\"\"",
    "\"a\"\"b\"",
    "y",
    "x",
    "day",
    "city",
    "north",
];

pub(crate) fn series() -> Vec<Vec<u8>> {
    let wave = |i: usize| (i as f64 * 0.4).sin() * 9.0 + i as f64 * 0.01;
    let plain: String = (0..60).map(|i| format!("{},{:.3},{}\n", wave(i), wave(i + 7), i % 5)).collect();
    let missing: String = (0..60).map(|i| if i % 9 == 3 { ",1,2\n".to_string() } else { format!("{:.2},{},{i}\n", wave(i), i % 7) }).collect();
    let several: String =
        (0..80).map(|i| format!("2020-01-{:02};{};{:.2};{}\n", i / 4 + 1, ["north", "south", "\"a;b\"", "\u{e9}"][i % 4], wave(i), i * i % 17)).collect();
    let tiny = "y,x\n1,2\n2,1\n4,4\n3,0\n5,5\n";
    let scales: String = (0..40).map(|i| format!("{:e},{:e},{}\n", 3e38 * wave(i) / 10.0, 1e-300 * wave(i), wave(i))).collect();
    let equal: String = (0..30).map(|i| format!("{i},7,7\n")).collect();
    [
        format!("y,x,z\n{plain}"),
        format!("\u{feff}y,x,z\r\n{missing}"),
        format!("day;city;y;x\n{several}"),
        tiny.into(),
        format!("y,x,z\n{scales}"),
        format!("y,x,z\n{equal}"),
    ]
    .map(String::into_bytes)
    .into()
}

/// Ways to read a table.
fn wanted() -> Vec<SeriesSpec> {
    let of = |delimiter: char, several: bool, missing, horizon, difference, loss| {
        let (series, time) = (several.then(|| "city".to_string()), several.then(|| "day".to_string()));
        let asked = ColumnSpec { targets: vec!["y".to_string()], series, time, missing, delimiter: Some(delimiter), ..ColumnSpec::default() };
        SeriesSpec { asked, horizon, difference, season: None, loss, quantiles: None, scale: Default::default() }
    };
    let mut both = of(',', false, Missing::Mean, 2, Difference::All, RegressionLoss::Squared);
    both.asked.targets.push("x".to_string());
    both.asked.features = Some(vec!["x".to_string()]);
    vec![
        of(',', false, Missing::Refuse, 1, Difference::None, RegressionLoss::Squared),
        of(',', false, Missing::Previous, 3, Difference::Targets, RegressionLoss::Absolute),
        both,
        of(';', true, Missing::Zero, 2, Difference::All, RegressionLoss::Squared),
        of(';', true, Missing::Mean, 1, Difference::None, RegressionLoss::Absolute),
    ]
}

/// Of a corpus, what training asks of it before its first update.
fn plans(corpus: Corpus, settings: &Settings) -> Result<()> {
    let model = settings.config(&corpus.codec)?;
    let feed = Feed::new(corpus.train, settings.truncation, settings.batch, settings.seed);
    MemoryPlan::new(&settings.task(model, &feed), &Device::Cpu { threads: 1 }.capabilities()).map(drop)
}

fn small() -> Settings {
    Settings::default().hidden(3).batch(2).truncation(Truncation::Full).val_fraction(0.1)
}

/// What steps read and want of a table is finite, whatever the file says.
fn finite(table: &Table) {
    let (mut read, mut want) = (vec![0.0; table.series.features.len()], vec![0.0; table.series.width()]);
    for g in 0..table.sheet.groups.len() {
        for p in table.sheet.groups[g].rows.clone() {
            table.read(p, &mut read);
            if p + table.horizon() < table.sheet.groups[g].rows.end {
                table.want(p, &mut want);
            }
            assert!(read.iter().chain(&want).all(|x| x.is_finite()), "row {p} reads {read:?}, wants {want:?}");
        }
    }
}

/// Fits a table, plans its training, forecasts it by a model of no training, scores and draws that.
pub(crate) fn read_series(input: &[u8]) -> String {
    let text = Text::open(&written("table.csv", input));
    let read = |wanted: &SeriesSpec| {
        let text = text.as_ref().map_err(|e| retrograd::Error::Input(e.to_string()))?;
        let table = Table::fit(Sheet::read(text, &wanted.asked)?, wanted, 0.1)?;
        finite(&table);
        plans(Corpus::of_table(Arc::new(table.clone()), &small())?, &small())?;
        let codec = Codec::Series(table.series.clone());
        forecast(&untrained(codec, 0, 1), &table)
    };
    let all: Vec<String> = wanted().iter().map(|w| answer(read(w))).collect();
    // Read in one way is read.
    if all.contains(&"ok".to_string()) { "ok".to_string() } else { all.join(" ") }
}

fn untrained(codec: Codec, embed: u32, layers: u32) -> Model {
    let config = Config { input: codec.input(embed), output: codec.output(), hidden: 3, layers, bias: layers != 2, ..Config::symbols(1) };
    Model { parameters: Init::Uniform.parameters(&config, 1), config, codec, trained_on: TrainedOn::Stream, split_seed: None }
}

fn forecast(model: &Model, table: &Table) -> Result<()> {
    // Long tables take their time.
    if table.rows() > 120 {
        return Ok(());
    }
    let first: Vec<usize> = table.sheet.groups.iter().map(|g| g.rows.start).collect();
    let forecasts = Forecasts::of(&Device::Cpu { threads: 1 }, model.config, &model.parameters, table, &first, || Ok(()))?;
    let outcome = Outcome::of(table, &forecasts, &table.held);
    outcome.score.table();
    serde_json::to_string(&outcome).map(drop).map_err(|e| retrograd::Error::Input(e.to_string()))
}

pub(crate) fn labels() -> Vec<Vec<u8>> {
    [
        "text,label\nabc,yes\n\"d,e\",no\nf\u{e9},yes\n\"a \"\"b\"\"\",no\n",
        "yes\tabc\nno\td,e\nyes\tf\u{e9}\n",
        "1,abc\n2,bcd\n3,cc\n",
        "id,text,label\n1,abc,yes\n2,\"d,\ne\",no\n3,x,maybe\n",
    ]
    .map(|t| t.as_bytes().to_vec())
    .into()
}

/// Reads a table, plans its training, and reads it again as a model of it does.
pub(crate) fn read_labels(input: &[u8]) -> String {
    let text = Text::open(&written("labels.csv", input));
    let read = |columns, kind| {
        let text = text.as_ref().map_err(|e| retrograd::Error::Input(e.to_string()))?;
        let first = Labelled::read(text, columns, kind, None)?;
        let again = Labelled::read(text, columns, kind, Some(&first.codec()))?;
        assert!((&first.classes, &first.labels, &first.parts) == (&again.classes, &again.labels, &again.parts), "read in two ways");
        let _ = first.most_frequent();
        plans(Corpus::of_labelled(first, &small())?, &small())
    };
    let ways = [("label", None), ("label", Some("text")), ("1", None), ("2", Some("1"))];
    let all: Vec<String> =
        ways.iter().flat_map(|&(label, text)| [Kind::Characters, Kind::Bytes].map(|k| answer(read(Columns { label, text, header: None }, k)))).collect();
    if all.contains(&"ok".to_string()) { "ok".to_string() } else { all.join(" ") }
}

/// Of series, of labels, and with embeddings.
pub(crate) fn models() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (file, wanted) in [0, 0, 0, 2, 2].into_iter().zip(wanted()) {
        let text = Text::given("table", String::from_utf8(series()[file].clone()).unwrap_or_default());
        let table = Sheet::read(&text, &wanted.asked).and_then(|s| Table::fit(s, &wanted, 0.1)).unwrap();
        all.push(untrained(Codec::Series(table.series), 0, 1));
    }
    let labels = ["no", "yes"].map(String::from).to_vec();
    let of = |v: &Vocabulary| Codec::Labels { vocabulary: v.clone(), labels: labels.clone() };
    let (few, bytes) = (Vocabulary::of("abcdef\u{e9}x, \"\n"), Vocabulary::bytes());
    all.extend([untrained(of(&few), 0, 1), untrained(of(&few), 4, 3), untrained(of(&bytes), 2, 2), untrained(Codec::Text(few), 5, 1)]);
    all.iter().map(|m| m.to_container().to_bytes()).collect()
}

/// Reads a model, exports it, and reads tables as it says.
pub(crate) fn read_model(input: &[u8]) -> String {
    let read = || {
        let model = Model::load(&written("tabular.safetensors", input))?;
        let onnx = model.to_onnx();
        match &model.codec {
            Codec::Series(series) => {
                for file in self::series() {
                    let text = Text::given("table", String::from_utf8(file).unwrap_or_default());
                    if let Ok(sheet) = Sheet::read(&text, &series.asked()) {
                        forecast(&model, &Table::to_forecast(sheet.clone(), series.clone())?)?;
                        forecast(&model, &Table::with(sheet, series.clone(), 0.2)?)?;
                    }
                }
            }
            Codec::Labels { .. } => {
                let text = Text::given("labels", String::from_utf8(labels()[0].clone()).unwrap_or_default());
                Labelled::read(&text, Columns { label: "label", text: None, header: None }, Kind::Characters, Some(&model.codec))?;
            }
            Codec::Text(vocabulary) => drop(vocabulary.encode("abc")?),
            Codec::LabelledRows { scales, .. } => {
                let numbers = Arc::new(vec![0.5; 3 * scales.len()]);
                drop(NumberRows::new("rows", numbers, scales.len(), vec![0..1, 1..3])?);
            }
        }
        onnx.map(drop)
    };
    answer(read())
}
