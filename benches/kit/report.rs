//! What a benchmark found: tables as it goes, or one JSON object at the end, and the percentile curves.

use std::io;
use std::path::PathBuf;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::args::{Args, say};
use crate::machine;
use crate::plot::{Curve, Plot};

/// Characters of a row's name.
const NAME: usize = 52;

/// A column's heading, and how many decimals its figures have.
pub type Column = (&'static str, usize);

/// What was found so far.
pub struct Report {
    bench: &'static str,
    machine: String,
    json: bool,
    plot: Option<PathBuf>,
    columns: Vec<Column>,
    tables: Vec<Table>,
    curves: Plot,
}

struct Table {
    title: String,
    rows: Vec<Value>,
    notes: Vec<String>,
}

impl Report {
    /// Says what runs where. The curves are of `unit`.
    pub fn new(bench: &'static str, unit: &'static str, args: &Args) -> Report {
        let machine = machine::describe();
        if !args.json {
            say(format_args!("{bench}: {machine}"));
        }
        Report {
            bench,
            machine,
            json: args.json,
            plot: args.plot.clone(),
            columns: Vec::new(),
            tables: Vec::new(),
            curves: Plot::new(bench, unit),
        }
    }

    /// A table begins.
    pub fn table(&mut self, title: &str, columns: &[Column]) {
        self.columns = columns.to_vec();
        self.tables.push(Table {
            title: title.to_owned(),
            rows: Vec::new(),
            notes: Vec::new(),
        });
    }

    /// Before the first row: a table without any is left out.
    fn print_head(&self) {
        if let Some(table) = self.tables.last().filter(|table| table.rows.is_empty()) {
            let heads: String = self.columns.iter().map(|(head, _)| cell(head)).collect();
            say(format_args!("\n{}\n{:<NAME$}{heads}", table.title, ""));
        }
    }

    /// A row of it; what is no number was not measured.
    pub fn row(&mut self, name: &str, values: &[f64]) {
        self.print(name, values, None);
    }

    /// A row of how often the floor's figures ours are.
    pub fn ratio(&mut self, name: &str, ours: &[f64], floor: &[f64]) {
        let ratio = ours.iter().zip(floor).map(|(ours, floor)| ours / floor);
        self.print(name, &ratio.collect::<Vec<_>>(), Some(2));
    }

    /// Each figure has its column's decimals, if not these.
    fn print(&mut self, name: &str, values: &[f64], decimals: Option<usize>) {
        if !self.json {
            self.print_head();
            let cells = self.columns.iter().zip(values);
            let cells = cells.map(|(column, value)| figure(decimals.unwrap_or(column.1), *value));
            say(format_args!("{name:<NAME$}{}", cells.collect::<String>()));
        }
        let mut row = Map::new();
        row.insert("name".to_owned(), name.into());
        for ((head, _), value) in self.columns.iter().zip(values) {
            row.insert(
                (*head).to_owned(),
                json!(value.is_finite().then_some(value)),
            );
        }
        if let Some(table) = self.tables.last_mut() {
            table.rows.push(Value::Object(row));
        }
    }

    /// A remark on the table.
    pub fn note(&mut self, text: &str) {
        if !self.json {
            say(text);
        }
        if let Some(table) = self.tables.last_mut() {
            table.notes.push(text.to_owned());
        }
    }

    /// Two curves for the plot, the floor's and ours. A unit of the plot is `scale` of the histograms'.
    pub fn curves(
        &mut self,
        name: &str,
        floor: (&str, &Histogram<u64>),
        ours: (&str, &Histogram<u64>),
        scale: f64,
    ) {
        for (whose, times) in [floor, ours] {
            self.curve(&format!("{name}, {whose}"), times, scale);
        }
    }

    /// One curve for the plot.
    pub fn curve(&mut self, name: &str, values: &Histogram<u64>, scale: f64) {
        self.curves.curves.push(Curve::of(name, values, scale));
    }

    /// Prints the JSON and writes the plot, as far as they were asked for.
    pub fn finish(self) -> io::Result<()> {
        if self.json {
            let tables = self
                .tables
                .into_iter()
                .filter(|table| !table.rows.is_empty());
            let tables = tables.map(
                |table| json!({"title": table.title, "rows": table.rows, "notes": table.notes}),
            );
            let found = json!({
                "bench": self.bench,
                "machine": self.machine,
                "tables": tables.collect::<Vec<_>>(),
            });
            say(format_args!("{found:#}"));
        }
        match self.plot {
            Some(file) => std::fs::write(&file, self.curves.to_svg()).map_err(|error| {
                io::Error::other(format!("cannot write the plot {}: {error}", file.display()))
            }),
            None => Ok(()),
        }
    }
}

fn cell(text: &str) -> String {
    format!("{text:>13}")
}

fn figure(decimals: usize, value: f64) -> String {
    if value.is_finite() {
        cell(&format!("{value:.decimals$}"))
    } else {
        cell("-")
    }
}
