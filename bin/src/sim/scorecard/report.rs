//! The scorecard as it is printed.

use std::fmt::Write;

use serde_json::{Value, json};

use super::row::{Figure, Row, Statistic};
use crate::cli::ReportFormat;
use crate::table::Table;

const HEAD: [&str; 8] = [
    "", "MEASURED", "RUNS", "MEAN", "MEDIAN", "WORST", "BOUND", "BESIDE",
];

/// A row, to be printed as soon as it is measured, as all of them take hours; nothing for programs, who get one array.
pub fn row(row: &Row, format: ReportFormat) -> String {
    match format {
        ReportFormat::Table => table(row),
        ReportFormat::Json => String::new(),
        ReportFormat::Markdown => markdown(row),
    }
}

/// What stands below all rows, or all of them for programs.
pub fn end(rows: &[Row], format: ReportFormat) -> String {
    match format {
        ReportFormat::Table | ReportFormat::Markdown => format!("{}\n", summary(rows)),
        ReportFormat::Json => format!("{:#}\n", json(rows)),
    }
}

fn table(row: &Row) -> String {
    let mut table = Table::new(&HEAD);
    for figure in &row.figures {
        table.row(cells(figure).to_vec());
    }
    let figures = table.render(|_, _, cell| cell);
    let spec = row.spec;
    format!(
        "{}. {} ({})\n{figures}   {}\n\n",
        spec.number, spec.title, spec.conditions, spec.source
    )
}

fn markdown(row: &Row) -> String {
    let (mut text, spec) = (String::new(), row.spec);
    let _ = writeln!(text, "## {}. {}\n", spec.number, spec.title);
    let _ = writeln!(text, "{} {}.\n", spec.what, spec.conditions);
    let _ = writeln!(
        text,
        "| measured | runs | mean | median | worst | bound | | beside |"
    );
    let _ = writeln!(text, "|---|---|---|---|---|---|---|---|");
    for figure in &row.figures {
        let [met, what, runs, mean, median, worst, bound, beside] = cells(figure);
        let _ = writeln!(
            text,
            "| {what} | {runs} | {mean} | {median} | {worst} | {bound} | {met} | {beside} |"
        );
    }
    let _ = writeln!(text, "\n{}\n", spec.source);
    text
}

fn cells(figure: &Figure) -> [String; HEAD.len()] {
    let met = match figure.is_met() {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    };
    let show = |value| figure.show(value);
    [
        met.to_owned(),
        figure.what.clone(),
        format!("{} {}", figure.values.len(), figure.of),
        show(figure.statistic(Statistic::Mean)),
        show(figure.statistic(Statistic::Median)),
        show(figure.worst()),
        figure.show_bound(),
        figure.beside.to_owned(),
    ]
}

fn summary(rows: &[Row]) -> String {
    let bounds = || {
        rows.iter()
            .flat_map(|row| &row.figures)
            .filter_map(Figure::is_met)
    };
    let (all, met) = (bounds().count(), bounds().filter(|met| *met).count());
    format!("{met} of {all} bounds are met.")
}

fn json(rows: &[Row]) -> Value {
    rows.iter()
        .map(|row| {
            json!({
                "row": row.spec.number,
                "title": row.spec.title,
                "what": row.spec.what,
                "conditions": row.spec.conditions,
                "source": row.spec.source,
                "met": row.is_met(),
                "figures": row.figures.iter().map(figure_json).collect::<Vec<_>>(),
            })
        })
        .collect()
}

fn figure_json(figure: &Figure) -> Value {
    let bound = figure.bound.as_ref().map(|bound| {
        let finite = |value: &f64| value.is_finite().then_some(*value);
        json!({
            "of": bound.of.to_string(),
            "least": finite(bound.within.start()),
            "most": finite(bound.within.end()),
        })
    });
    // JSON knows no infinite numbers: what never came is null.
    json!({
        "what": figure.what,
        "unit": figure.unit.name(),
        "runs": figure.values.len(),
        "of": figure.of,
        "mean": figure.statistic(Statistic::Mean),
        "median": figure.statistic(Statistic::Median),
        "worst": figure.worst(),
        "values": figure.values,
        "bound": bound,
        "met": figure.is_met(),
        "beside": figure.beside,
    })
}

#[cfg(test)]
mod tests {
    use super::super::row::{RowSpec, Unit};
    use super::*;

    static SPEC: RowSpec = RowSpec {
        number: 7,
        title: "Something",
        what: "It is done.",
        conditions: "lan",
        source: "A paper.",
        measure: |_| Vec::new(),
    };

    fn rows() -> Vec<Row> {
        let values = vec![1.0, 2.0, 6.0];
        let figure = Figure::new("it takes", Unit::Seconds, values);
        let missed = Figure::new("it costs", Unit::Count, vec![9.0]);
        vec![Row {
            spec: &SPEC,
            figures: vec![
                figure.at_most(Statistic::Mean, 3.0),
                missed.at_most(Statistic::Highest, 8.0),
            ],
        }]
    }

    #[test]
    fn for_people() {
        let text = row(&rows()[0], ReportFormat::Table);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "7. Something (lan)");
        assert!(lines[1].starts_with("        MEASURED  RUNS"), "{text}");
        assert!(
            lines[2]
                .starts_with("met     it takes  3 seeds  3.00 s  2.00 s  6.00 s  mean ≤ 3.00 s"),
            "{text}"
        );
        assert!(lines[3].starts_with("MISSED  it costs"), "{text}");
        let end = end(&rows(), ReportFormat::Table);
        assert_eq!(end, "1 of 2 bounds are met.\n");
    }

    #[test]
    fn for_programs() {
        assert_eq!(row(&rows()[0], ReportFormat::Json), "");
        let json: Value = serde_json::from_str(&end(&rows(), ReportFormat::Json)).unwrap();
        assert_eq!(
            (json[0]["row"].as_u64(), json[0]["met"].as_bool()),
            (Some(7), Some(false))
        );
        let figure = &json[0]["figures"][0];
        assert_eq!(
            (figure["mean"].as_f64(), figure["worst"].as_f64()),
            (Some(3.0), Some(6.0))
        );
        assert_eq!(
            (&figure["bound"]["least"], figure["bound"]["most"].as_f64()),
            (&Value::Null, Some(3.0))
        );
    }

    #[test]
    fn for_documents() {
        let text = row(&rows()[0], ReportFormat::Markdown);
        assert!(
            text.starts_with("## 7. Something\n\nIt is done. lan.\n"),
            "{text}"
        );
        assert!(
            text.contains("| it costs | 1 seeds | 9 | 9 | 9 | highest ≤ 8 | MISSED |"),
            "{text}"
        );
    }
}
