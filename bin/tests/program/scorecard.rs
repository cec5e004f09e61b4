//! `sim scorecard`: the rows that are quick even in a build for tests; all of them take minutes there.

use serde_json::Value;

use crate::harness::{assert_exit, butterfly, said};

/// Rows of small rings and short times.
const ROWS: [u64; 7] = [1, 3, 6, 7, 9, 11, 12];

/// Those of them whose bounds every seed has to meet by itself: others are of means and medians of many.
const STRICT: [u64; 5] = [1, 6, 7, 9, 12];

/// What it prints of these rows, with one seed each.
fn scorecard(rows: &[u64], options: &[&str]) -> String {
    let numbers: Vec<_> = rows.iter().map(u64::to_string).collect();
    let numbers = numbers.join(",");
    let args = [
        "sim",
        "scorecard",
        "--quick",
        "--seeds",
        "1",
        "--rows",
        &numbers,
    ];
    let output = butterfly(&[&args[..], options].concat());
    assert_exit(&output, 0);
    let progress = said(&output);
    for row in rows {
        assert!(progress.contains(&format!("row {row}: ")), "{progress}");
    }
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn programs_read_every_row_with_its_figures_and_bounds() {
    let rows: Value = serde_json::from_str(&scorecard(&ROWS, &["-o", "json"])).unwrap();
    let rows = rows.as_array().unwrap();
    let numbers: Vec<_> = rows.iter().map(|row| row["row"].as_u64()).collect();
    assert_eq!(numbers, ROWS.map(Some));
    for row in rows {
        let figures = row["figures"].as_array().unwrap();
        let bounded = figures.iter().filter(|figure| !figure["bound"].is_null());
        assert!(bounded.count() > 0, "{row}");
        for figure in figures {
            assert!(figure["runs"].as_u64() > Some(0), "{figure}");
            let values = figure["values"].as_array().unwrap();
            assert!(!values.is_empty() && values.iter().all(|value| !value.is_null()));
        }
    }
    let stable = &rows[0]["figures"][0];
    assert_eq!(
        (&stable["met"], stable["worst"].as_f64()),
        (&Value::Bool(true), Some(17.0))
    );
}

#[test]
fn people_read_whether_each_bound_is_met() {
    // Missed bounds are an error, so it ends well only without.
    let text = format!("\n{}", scorecard(&STRICT, &["--strict"]));
    for row in STRICT {
        let heading = format!("\n{row}. ");
        assert!(text.contains(&heading), "no row {row} in {text}");
    }
    assert!(text.contains("\nmet "), "{text}");
    assert!(text.trim_end().ends_with("bounds are met."), "{text}");
}

#[test]
fn a_seed_by_itself_gives_what_it_gave_among_others() {
    let values = |seeds: &[&str]| {
        let row = ["sim", "scorecard", "--quick", "--rows", "6", "-o", "json"];
        let output = butterfly(&[&row[..], seeds].concat());
        assert_exit(&output, 0);
        let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
        let values = rows[0]["figures"][0]["values"].as_array().unwrap();
        values.iter().map(Value::to_string).collect::<Vec<_>>()
    };
    let all = values(&["--seeds", "3"]);
    assert_eq!(all.len(), 3);
    assert_eq!(values(&["--seeds", "2", "--from", "1"]), all[1..]);
}

#[test]
fn a_row_that_is_not_there_is_refused() {
    let output = butterfly(&["sim", "scorecard", "--rows", "99"]);
    assert_exit(&output, 2);
    assert!(
        said(&output).contains("there is no row 99"),
        "{}",
        said(&output)
    );
}
