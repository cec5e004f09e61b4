//! Prometheus' text format, version 0.0.4: families of samples, each with its help and type.

use std::fmt::{Display, Write};

use butterfly::Histogram;

/// What it is called in a `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text as far as it is written.
#[derive(Default)]
pub struct Exposition {
    text: String,
}

/// Samples of one name.
pub struct Family<'e> {
    text: &'e mut String,
    name: &'static str,
}

impl Exposition {
    /// Something that only grows: its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Something that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// How long something took, in seconds.
    pub fn histogram(&mut self, name: &'static str, help: &str, histogram: &Histogram) {
        let Family { text, .. } = self.family(name, "histogram", help);
        let mut line =
            |what: &str, value: &dyn Display| push(text, format_args!("{name}{what} {value}\n"));
        for (bound, count) in histogram.cumulative() {
            line(
                &format!("_bucket{{le=\"{}\"}}", bound.as_secs_f64()),
                &count,
            );
        }
        let count = histogram.count();
        line("_bucket{le=\"+Inf\"}", &count);
        line("_sum", &histogram.sum().as_secs_f64());
        line("_count", &count);
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        push(
            &mut self.text,
            format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"),
        );
        Family {
            text: &mut self.text,
            name,
        }
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// The only sample.
    pub fn is(self, value: impl Display) {
        push(self.text, format_args!("{} {value}\n", self.name));
    }

    /// One sample of several, told apart by this label. Values of labels are our own words: they need no escapes.
    pub fn of(self, label: &str, of: &str, value: impl Display) -> Self {
        push(
            self.text,
            format_args!("{}{{{label}=\"{of}\"}} {value}\n", self.name),
        );
        self
    }

    /// The same with two labels.
    pub fn of_two(self, [one, two]: [(&str, &str); 2], value: impl Display) -> Self {
        let labels = format_args!("{}=\"{}\",{}=\"{}\"", one.0, one.1, two.0, two.1);
        push(
            self.text,
            format_args!("{}{{{labels}}} {value}\n", self.name),
        );
        self
    }
}

impl Family<'_> {
    /// All its samples are there.
    pub fn end(self) {}
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = text.write_fmt(line);
}
