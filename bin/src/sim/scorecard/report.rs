//! The scorecard as it is printed.

use std::fmt::Write;

use serde_json::{Value, json};

use super::row::{Figure, Row, Statistic};
use crate::cli::ReportFormat;
use crate::table::Table;

const HEAD: [&str; 8] = [
    "", "MEASURED", "RUNS", "MEAN", "MEDIAN", "WORST", "BOUND", "BESIDE",
];

pub fn render(rows: &[Row], format: ReportFormat) -> String {
    match format {
        ReportFormat::Table => table(rows),
        ReportFormat::Json => format!("{:#}\n", json(rows)),
        ReportFormat::Markdown => markdown(rows),
    }
}

/// One table of all figures, with a title above those of each row.
fn table(rows: &[Row]) -> String {
    let mut table = Table::new(&HEAD);
    for figure in rows.iter().flat_map(|row| &row.figures) {
        table.row(cells(figure).to_vec());
    }
    let rendered = table.render(|_, _, cell| cell);
    let mut lines = rendered.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for row in rows {
        let spec = row.spec;
        let _ = writeln!(
            text,
            "\n{}. {} ({})",
            spec.number, spec.title, spec.conditions
        );
        for line in lines.by_ref().take(row.figures.len()) {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "   {}", spec.source);
    }
    let _ = writeln!(text, "\n{}", summary(rows));
    text
}

fn markdown(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let spec = row.spec;
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
    }
    text + &summary(rows) + "\n"
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
        let text = render(&rows(), ReportFormat::Table);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[2], "7. Something (lan)");
        assert!(
            lines[3]
                .starts_with("met     it takes  3 seeds  3.00 s  2.00 s  6.00 s  mean ≤ 3.00 s"),
            "{text}"
        );
        assert!(lines[4].starts_with("MISSED  it costs"), "{text}");
        assert_eq!(lines.last(), Some(&"1 of 2 bounds are met."));
    }

    #[test]
    fn for_programs() {
        let json = json(&rows());
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
        let text = render(&rows(), ReportFormat::Markdown);
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
