//! Tables as people write them: times, numbers, headers, gaps; and output in the same notation.

use crate::cli::{file, folder, refused, retrograd, text};
use retrograd::data::{ColumnSpec, Difference, Missing, SeriesSpec, Sheet, Table, Text};
use retrograd::forecast::{Method, baseline};
use retrograd::model::RegressionLoss;
use std::fmt::Write;
use std::path::Path;

fn asked(time: bool) -> ColumnSpec {
    ColumnSpec { targets: vec!["y".into()], time: time.then(|| "t".into()), ..ColumnSpec::default() }
}

fn read(csv: &str, asked: &ColumnSpec) -> Result<Sheet, String> {
    Sheet::read(&Text::given("table", csv), asked).map_err(|e| e.to_string())
}

fn wanted(asked: ColumnSpec, difference: Difference) -> SeriesSpec {
    SeriesSpec { asked, horizon: 1, difference, season: None, loss: RegressionLoss::Squared, quantiles: None, scale: Default::default() }
}

/// A table of the given times and increasing numbers.
fn dated(times: &[&str]) -> String {
    let mut csv = "t,y\n".to_string();
    times.iter().enumerate().for_each(|(i, t)| writeln!(csv, "\"{t}\",{}", i * i).unwrap());
    csv
}

/// Each list is in order of time; the first future row is written in the same notation.
#[test]
fn times_in_many_notations() {
    let cases: &[(&[&str], Option<&str>)] = &[
        (
            &["2015-10-25 00:00:00+02:00", "2015-10-25 01:00:00+02:00", "2015-10-25 02:00:00+02:00", "2015-10-25 02:00:00+01:00"],
            Some("2015-10-25 03:00:00+01:00"),
        ),
        (&["2019/9/29", "2019/9/30", "2019/10/1"], Some("2019/10/2")),
        (&["2017-07-01 11-AM", "2017-07-01 12-PM", "2017-07-01 01-PM"], Some("2017-07-01 02-PM")),
        (&["1949-Jan", "1949-Feb", "1949-Mar"], Some("1949-Apr")),
        (&["20240102093000000", "20240102093000001", "20240102093000002"], Some("20240102093000003")),
        (&["1704187800000000000", "1704187800000000001"], Some("1704187800000000002")),
        (&["20191230", "20191231", "20200101"], Some("20200102")),
        (&["201911", "201912", "202001"], Some("202002")),
        (&["01/30/2019", "01/31/2019", "02/01/2019"], Some("02/02/2019")),
        (&["30.01.2019", "31.01.2019", "01.02.2019"], Some("02.02.2019")),
        (&["30/01/2019 23:00", "31/01/2019 00:00"], Some("31/01/2019 01:00")),
        (&["9:30 PM", "10:30 PM"], Some("11:30 PM")),
        (&["2019Q3", "2019Q4", "2020Q1"], Some("2020Q2")),
        (&["2019-W51", "2019-W52", "2020-W01"], Some("2020-W02")),
        (&["Jan 30, 2019", "Jan 31, 2019", "Feb 1, 2019"], Some("Feb 2, 2019")),
        (&["2019", "2020", "2021"], Some("2022")),
        (&["0.1", "0.2", "0.3"], Some("0.4")),
        (&["2019-01-01", "2019-01-02", "2019-01-09"], None),
    ];
    for (times, next) in cases {
        let sheet = read(&dated(times), &asked(true)).unwrap_or_else(|e| panic!("{times:?}: {e}"));
        assert_eq!((&sheet.times[..], sheet.notes.len()), (&times.iter().map(|t| (*t).to_string()).collect::<Vec<_>>()[..], 0), "{:?}", sheet.notes);
        assert_eq!(sheet.times_to_come(0, 1).map(|t| t[0].clone()).as_deref(), *next, "{times:?}");
        // Newest row first: the same series.
        let turned: Vec<&str> = times.iter().rev().copied().collect();
        let sheet = read(&dated(&turned), &asked(true)).unwrap_or_else(|e| panic!("{turned:?}: {e}"));
        assert_eq!(sheet.times.iter().collect::<Vec<_>>(), *times);
        assert_eq!(sheet.columns[0].values.at(0), ((times.len() - 1) * (times.len() - 1)) as f64);
        assert!(sheet.notes[0].contains("newest first"), "{:?}", sheet.notes);
        assert_eq!(sheet.times_to_come(0, 1).map(|t| t[0].clone()).as_deref(), *next, "{times:?}");
    }
}

/// The hour that clocks repeat in autumn, in hourly and half-hourly steps.
#[test]
fn summer_time_ends() {
    let hours = ["2015-10-25 00:00", "2015-10-25 01:00", "2015-10-25 02:00", "2015-10-25 02:00", "2015-10-25 03:00"];
    let halves = ["25.10.2015 01:30", "25.10.2015 02:00", "25.10.2015 02:30", "25.10.2015 02:00", "25.10.2015 02:30", "25.10.2015 03:00"];
    for (times, next) in [(&hours[..], "2015-10-25 04:00"), (&halves, "25.10.2015 03:30")] {
        let sheet = read(&dated(times), &asked(true)).unwrap();
        assert_eq!(sheet.times_to_come(0, 1).unwrap(), [next]);
    }
    for (times, words) in [
        (&["2015-10-24 01:00", "2015-10-24 02:00", "2015-10-24 02:00", "2015-10-24 03:00"][..], "is the time of line 3 too"),
        (&["2015-10-25 01:00Z", "2015-10-25 02:00Z", "2015-10-25 02:00Z", "2015-10-25 03:00Z"], "is the time of line 3 too"),
        (&["2015-10-25", "2015-10-25", "2015-10-26"], "is the time of line 2 too"),
    ] {
        let e = read(&dated(times), &asked(true)).unwrap_err();
        assert!(e.contains(words), "{e}");
    }
}

/// Ambiguous dates are asked about, and the flag that the message names resolves them.
#[test]
fn days_and_months_are_told_apart_or_asked_about() {
    let e = read(&dated(&["01/02/2018", "01/03/2018", "01/04/2018"]), &asked(true)).unwrap_err();
    assert!(e.contains("line 2, column \"t\": \"01/02/2018\" can be read in 2 ways") && e.contains("`time_format` '%d/%m/%Y' or '%m/%d/%Y'"), "{e}");
    for (format, next) in [("%d/%m/%Y", "01/05/2018"), ("%m/%d/%Y", "01/05/2018")] {
        let sheet = read(&dated(&["01/02/2018", "01/03/2018", "01/04/2018"]), &ColumnSpec { time_format: Some(format.into()), ..asked(true) }).unwrap();
        assert_eq!(sheet.times_to_come(0, 1).unwrap(), [next]);
    }
    // A series that continues over the end of a month is resolved by its order.
    assert!(read(&dated(&["11/01/2018", "12/01/2018", "01/02/2018"]), &asked(true)).is_ok());
    let e = read(&dated(&["2018-01-01", "2018-01-02", "02.01.2018 x"]), &asked(true)).unwrap_err();
    assert!(e.contains("line 4") && e.contains("in no notation of time that is known"), "{e}");
    let e = read(&dated(&["1949-Apr", "1949-Aug", "1949-Dec", "1949-Feb", "1949-Jan", "1950-Jan"]), &asked(true)).unwrap_err();
    assert!(e.contains("line 5") && e.contains("\"1949-Feb\" after \"1949-Dec\" in line 4") && e.contains("as a time, not as text"), "{e}");
}

/// Tables as exported by spreadsheets and other programs: a table, its column y, and a word of each note.
#[test]
fn tables_as_programs_write_them() {
    let nan = f64::NAN;
    let cases: &[(&str, &[f64], &[&str])] = &[
        ("t;y\n1;1,5\n2;2,5\n", &[1.5, 2.5], &["';'", "comma before the fraction"]),
        ("t\ty\n1\t1\n2\t2\n", &[1.0, 2.0], &["'\\t'"]),
        ("sep=|\nt|y\n1|1\n2|2\n", &[1.0, 2.0], &["'|'"]),
        ("# a comment\nt,y\n1,1\n# another, with a comma\n2,2\n", &[1.0, 2.0], &["# is passed over"]),
        ("t;y\n1;\"1.234,5\"\n2;1.000\n", &[1234.5, 1000.0], &["';'", "comma before the fraction"]),
        ("t,y\n1,\"1,234.5\"\n2,\"2,000\"\n", &[1234.5, 2000.0], &[]),
        ("t,y\n1,1 234\n2,2\u{a0}000.5\n", &[1234.0, 2000.5], &[]),
        ("t,y\n1,\u{2212}5\n2,2\n", &[-5.0, 2.0], &[]),
        ("t,y\n1,5%\n2,7.5%\n", &[5.0, 7.5], &["unit %"]),
        ("t,y\n1,$5\n2,($7)\n", &[5.0, -7.0], &["unit $"]),
        ("t,y\n1,TRUE\n2,False\n", &[1.0, 0.0], &["TRUE and FALSE"]),
        ("t,y\n1,#N/A\n2,NaT\n3,--\n4,7\n", &[nan, nan, nan, 7.0], &[]),
        ("t,y\n1,1\n2,2\n,\n,\n", &[1.0, 2.0], &["2 rows without a cell are passed over"]),
        ("t;y;;\n1;1;;\n2;2;;\n;;;\n", &[1.0, 2.0], &["';'", "1 row without a cell", "columns 3, 4 have no name"]),
        (",t,y\n0,1,1\n1,2,2\n", &[1.0, 2.0], &["column 1 has no name"]),
        ("t,y\n1,1,\n2,2,\n", &[1.0, 2.0], &[]),
        ("\u{feff}t,y\n1,1\n2,2\n", &[1.0, 2.0], &[]),
        ("t,y\r\n1,1\r\n\r\n2,2\r\n", &[1.0, 2.0], &[]),
    ];
    for (csv, values, notes) in cases {
        let sheet = read(csv, &ColumnSpec { missing: Missing::Mean, ..asked(true) }).unwrap_or_else(|e| panic!("{csv:?}: {e}"));
        let found = &sheet.target(0).values;
        assert!(found.len() == values.len() && found.iter().zip(*values).all(|(a, b)| a == *b || a.is_nan() && b.is_nan()), "{csv:?}: {found:?}");
        assert!(sheet.notes.len() == notes.len() && sheet.notes.iter().zip(*notes).all(|(n, words)| n.contains(words)), "{csv:?}: {:?}", sheet.notes);
    }
    // Unused columns may share a name, hold text, and be excluded by name.
    let csv = "t,y,flag,flag,note\n1,1,a,b,x\n2,2,a,b,\"x\ny\"\n";
    for ask in [ColumnSpec { features: Some(vec!["y".into()]), ..asked(true) }, ColumnSpec { ignored: vec!["flag".into(), "note".into()], ..asked(true) }] {
        let sheet = read(csv, &ask).unwrap();
        assert_eq!(
            (sheet.feature_names(), &sheet.notes[..]),
            (vec!["y".to_string()], &["a row with a cell in quotes goes over several lines, lines 3 to 4; a stray quote does that too".to_string()][..])
        );
    }
}

/// Messages are at most one line long, whatever the file contains.
#[test]
fn messages_quote_a_line_at_most() {
    let long = "x".repeat(30_000);
    let rows: String = (0..3000).map(|i| format!("{i},a\n")).collect();
    let many = (0..3000).map(|i| format!("column{i}")).collect::<Vec<_>>().join(",");
    for csv in [
        format!("t,\"y\n{rows}"),
        format!("t,y\n1,\"2\n{rows}"),
        format!("t,y\n1,{long}\n"),
        format!("t,{long}\n1,2\n"),
        format!("{many}\n1,2\n"),
        format!("t,y,s\n{long},2,3\n"),
        format!("{long}\n1,2\n"),
    ] {
        let e = read(&csv, &ColumnSpec { time: Some("t".into()), ..asked(false) }).unwrap_err();
        assert!(e.chars().count() < 420 && !e.contains('\n'), "{} characters: {e}", e.chars().count());
    }
}

/// Naive forecasts, the base of changes and targets come from cells of the file, whatever fills the empty ones.
#[test]
fn what_fills_gaps_is_never_taken_for_known() {
    let mut csv = "t,y\n".to_string();
    (0..120).for_each(|i| writeln!(csv, "{i},{}", if i % 5 == 3 { String::new() } else { (1000 + i % 4).to_string() }).unwrap());
    let table = |missing, difference| {
        Table::fit(
            read(&csv, &ColumnSpec { missing, ..asked(true) }).unwrap(),
            &SeriesSpec { season: Some(4), ..wanted(ColumnSpec { missing, ..asked(true) }, difference) },
            0.0,
        )
        .unwrap()
    };
    let [previous, zero, mean] = [Missing::Previous, Missing::Zero, Missing::Mean].map(|m| table(m, Difference::All));
    assert_eq!((zero.sheet.target(0).values.at(3), zero.sheet.target(0).last_known(3)), (0.0, 1002.0));
    for p in 30..110 {
        let truth = |t: &Table, method| baseline(t, method, p, 3, 0).unwrap();
        let row = |t: &Table| (truth(t, Method::Naive), truth(t, Method::Seasonal));
        assert_eq!((row(&zero), row(&mean)), (row(&previous), row(&previous)), "{p}");
        assert!(row(&zero).0 >= 1000.0 && row(&zero).1 >= 1000.0);
        let read = |t: &Table| {
            let (mut read, mut want) = ([0f32], [0f32]);
            t.read(p, &mut read);
            t.want(p, &mut want);
            (read, want)
        };
        assert_eq!((read(&zero), read(&mean)), (read(&previous), read(&previous)), "{p}");
    }
    // A seasonal forecast uses the last season in which the row was known.
    assert_eq!(baseline(&zero, Method::Seasonal, 36, 1, 0), Some(1001.0), "row 33 is empty, row 29 is not");
    assert_eq!(zero.series.means, previous.series.means);
    // The same season is found.
    let found = |missing| {
        Table::fit(read(&csv, &ColumnSpec { missing, ..asked(true) }).unwrap(), &wanted(ColumnSpec { missing, ..asked(true) }, Difference::None), 0.0)
            .unwrap()
            .series
            .season
    };
    assert_eq!([Missing::Previous, Missing::Zero, Missing::Mean].map(found), [Some(4); 3]);
}

/// Straight lines: in whole numbers and in tenths, falling, and with a constant feature.
#[test]
fn what_never_changes_is_data_too() {
    let line = |step: f64| (0..60).fold("t,y,same\n".to_string(), |csv, i| csv + &format!("{i},{},7\n", f64::from(i) * step));
    for (step, difference) in [(1.0, Difference::All), (0.1, Difference::Targets), (-3.0, Difference::All)] {
        let table = Table::fit(read(&line(step), &asked(true)).unwrap(), &wanted(asked(true), difference), 0.1).unwrap();
        let mut want = [0f32];
        table.want(20, &mut want);
        let forecast = table.forecast(59, &want)[0];
        assert!((forecast - 60.0 * step).abs() < 1e-9, "{step}: {forecast}");
        assert!(
            table.sheet.notes.iter().any(|n| n.contains("\"y\" changes by")) && table.sheet.notes.iter().any(|n| n.contains("\"same\"")),
            "{:?}",
            table.sheet.notes
        );
        let mut read = [0f32; 2];
        table.read(20, &mut read);
        assert!(read[1] == 0.0);
    }
}

/// A series too short to hold anything out is skipped if others are long enough, with a note.
#[test]
fn short_series_are_left_out() {
    let mut csv = "s,t,y\n".to_string();
    for (name, rows) in [("a", 30), ("tiny", 1), ("b", 40), ("small", 2)] {
        (0..rows).for_each(|i| writeln!(csv, "{name},{i},{}", (i * 7) % 5).unwrap());
    }
    let ask = ColumnSpec { series: Some("s".into()), ..asked(true) };
    let table = Table::fit(read(&csv, &ask).unwrap(), &wanted(ask, Difference::None), 0.1).unwrap();
    let names: Vec<_> = table.sheet.groups.iter().map(|g| (g.name.clone().unwrap(), g.rows.clone())).collect();
    assert_eq!((names, table.rows()), (vec![("a".to_string(), 0..30), ("b".to_string(), 30..70)], 70));
    assert_eq!((table.sheet.times[30].as_str(), table.sheet.times_to_come(1, 1).unwrap()), ("0", vec!["40".to_string()]));
    assert!(table.sheet.notes[0].contains("series \"tiny\" of table has 1 row") && table.sheet.notes[0].contains("1 more series"), "{:?}", table.sheet.notes);
}

fn train(csv: &Path, name: &str, more: &[&str]) -> (String, String) {
    let out = folder("tables").join(name);
    let _ = std::fs::remove_dir_all(&out);
    let out = out.to_str().unwrap().to_string();
    let found = retrograd(&[&["train", csv.to_str().unwrap(), "--target=y", "--hidden=4", "--updates=3", "--device=cpu", "--out", &out], more].concat());
    assert!(found.status.success(), "{}", text(&found.stderr));
    (out, text(&found.stderr))
}

/// A model of one file reads another: with a gap, other separators for cells and decimals, and rows in reverse order.
#[test]
fn a_model_reads_other_files_of_its_columns() {
    let rows = |f: &dyn Fn(u32, f64) -> String| (0..80).map(|i| f(i, (f64::from(i) / 4.0).sin() + 2.0)).collect::<Vec<_>>();
    let plain = file("tables plain.csv", ("t,y\n".to_string() + &rows(&|i, y| format!("{i},{y}\n")).concat()).as_bytes());
    let (run, _) = train(&plain, "plain", &["--time=t", "--season=12"]);
    let forecasts = |file: &Path, more: &[&str]| {
        let out = retrograd(&[&["predict", &run, file.to_str().unwrap(), "--last=1"], more].concat());
        assert!(out.status.success(), "{}", text(&out.stderr));
        (text(&out.stdout), text(&out.stderr))
    };
    let (whole, _) = forecasts(&plain, &[]);
    assert!(whole.lines().nth(2).is_some_and(|l| l.starts_with("80,,")), "{whole}");
    let mut turned = rows(&|i, y| format!("{i};{}\n", y.to_string().replace('.', ",")));
    turned.reverse();
    let other = file("tables other.csv", ("t;y\n".to_string() + &turned.concat()).as_bytes());
    let (found, said) = forecasts(&other, &[]);
    assert_eq!(found.replace(',', ".").replace(';', ","), whole);
    assert!(said.contains("newest first") && said.contains("comma before the fraction") && said.contains("';' stands between cells"), "{said}");
    let gap = file("tables gap.csv", ("t,y\n".to_string() + &rows(&|i, y| if i == 40 { "40,\n".into() } else { format!("{i},{y}\n") }).concat()).as_bytes());
    let (_, said) = forecasts(&gap, &[]);
    assert!(said.contains("1 empty cell is filled with the number of the row before; --missing says otherwise"), "{said}");
    let (zero, said) = forecasts(&gap, &["--missing=zero"]);
    assert!(said.contains("filled with 0") && zero.lines().count() == 3, "{said}");
    refused(&["predict", &run, gap.to_str().unwrap(), "--missing=refuse"], 1, &["line 42", "the cell is empty", "--missing previous"]);
    let scored = retrograd(&["eval", &run, gap.to_str().unwrap()]);
    assert!(scored.status.success() && text(&scored.stderr).contains("1 empty cell"), "{}", text(&scored.stderr));
    // Too short for the horizon, and without the column.
    let lone = file("tables lone.csv", b"t,y\n1,2\n");
    refused(&["eval", &run, lone.to_str().unwrap()], 1, &["has 1 row", "need 2", "give more rows"]);
    let without = file("tables without.csv", b"t,z\n1,2\n");
    refused(&["predict", &run, without.to_str().unwrap()], 1, &["no column \"y\", which the model needs", "t, z"]);
    // A season other than the model's, which the report and the next run then use.
    let (from, said) = train(&plain, "from", &["--time=t", "--season=7", "--from", &run]);
    assert!(said.contains("season of 7 rows"), "{said}");
    let eval = text(&retrograd(&["eval", &from]).stdout);
    assert!(eval.contains("season of 7 rows"), "{eval}");
}

/// A run on an ambiguous table keeps the answers it was given.
#[test]
fn what_was_told_is_kept() {
    let csv = (1..=12).fold("t;y\n".to_string(), |csv, i| csv + &format!("01/{i:02}/2018;1.{:03}\n", i * 11));
    let csv = file("tables told.csv", csv.as_bytes());
    let path = csv.to_str().unwrap();
    refused(&["train", path, "--target=y", "--time=t", "--device=cpu"], 1, &["\"01/02/2018\"", "--time-format '%d/%m/%Y' or '%m/%d/%Y'"]);
    let (run, _) = train(&csv, "told", &["--time=t", "--time-format=%d/%m/%Y", "--decimal=,"]);
    let found = text(&retrograd(&["predict", &run, "--last=1", "--quiet"]).stdout);
    let lines: Vec<&str> = found.lines().collect();
    assert!(lines[1].starts_with("01/12/2018;1132;") && lines[2].starts_with("01/01/2019;;"), "{found}");
    let more = retrograd(&["train", "--resume", &run, "--updates=5", "--quiet"]);
    assert!(more.status.success(), "{}", text(&more.stderr));
}
