//! The picture of a run: who knew what when, as SVG.
//!
//! Above the run as it went; below how fast things came to be known, each from its own cause on, over a
//! logarithm of time: milliseconds and minutes on one page.

use std::fmt::Write;
use std::time::Duration;

use super::curves::{self, Curve};
use super::report;
use super::run::{Outcome, POINTS};
use super::scenario::Scenario;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 730.0;
/// Where the panels' axes are.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 690.0;
const PANEL: f64 = 230.0;
const ABOVE: f64 = 116.0;
const BELOW: f64 = 440.0;

/// The picture.
pub fn svg(scenario: &Scenario, outcome: &Outcome) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    let titles = [
        (24.0, 16, report::ring_line(scenario)),
        (44.0, 12, report::network_line(scenario, outcome)),
    ];
    for (y, size, title) in titles {
        let title = escaped(&title);
        let _ = writeln!(
            text,
            "<text x=\"{LEFT}\" y=\"{y}\" font-size=\"{size}\">{title}</text>"
        );
    }
    let run = Panel {
        top: ABOVE,
        axis: Axis::Linear(scenario.length.as_secs_f64()),
        title: "seconds of the run",
    };
    run.draw(&mut text, &curves::timeline(scenario, outcome));
    run.marks(&mut text, scenario);
    run.alarms(&mut text, outcome, scenario.length);
    let (shortest, longest) = span(scenario, outcome);
    let since = Panel {
        top: BELOW,
        axis: Axis::Logarithmic(shortest, longest),
        title: "time since it happened",
    };
    since.draw(&mut text, &curves::since(outcome, shortest, longest));
    text += "</svg>\n";
    text
}

/// The powers of ten between which all times are, in seconds.
fn span(scenario: &Scenario, outcome: &Outcome) -> (f64, f64) {
    let firsts = outcome.times.iter().filter_map(|(_, times)| times.first());
    let least = Duration::from_micros(100);
    let first = firsts
        .filter(|first| *first >= least)
        .min()
        .unwrap_or(Duration::from_millis(1));
    let decade = |seconds: f64| 10_f64.powf(seconds.log10().floor());
    let shortest = decade(first.as_secs_f64());
    (shortest, scenario.length.as_secs_f64().max(shortest * 10.0))
}

enum Axis {
    /// From 0 to that.
    Linear(f64),
    /// Between these two.
    Logarithmic(f64, f64),
}

impl Axis {
    /// Where a time is: 0 is left, 1 right.
    fn place(&self, seconds: f64) -> f64 {
        match self {
            Axis::Linear(end) => seconds / end,
            Axis::Logarithmic(start, end) => (seconds / start).ln() / (end / start).ln(),
        }
    }

    /// Where it has ticks, and what they say.
    fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Axis::Linear(end) => {
                let step = step(*end);
                let ticks = (0..).map(|tick| f64::from(tick) * step);
                let ticks = ticks.take_while(|seconds| *seconds <= end * 1.000_001);
                ticks
                    .map(|seconds| (seconds, format!("{}", (seconds * 1e6).round() / 1e6)))
                    .collect()
            }
            Axis::Logarithmic(start, end) => {
                let ticks = (0..).map(|tick| start * 10_f64.powi(tick));
                let ticks = ticks.take_while(|seconds| *seconds <= end * 1.000_001);
                ticks.map(|seconds| (seconds, in_units(seconds))).collect()
            }
        }
    }
}

/// One, two or five times a power of ten, so that there are five to ten ticks up to `end`.
fn step(end: f64) -> f64 {
    let decade = 10_f64.powf((end / 10.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade);
    steps
        .into_iter()
        .find(|step| end / step <= 10.0)
        .unwrap_or(end)
}

fn in_units(seconds: f64) -> String {
    match seconds {
        ..0.000_9 => format!("{:.0} µs", seconds * 1e6),
        ..0.9 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.0} s"),
    }
}

/// Axes with curves.
struct Panel {
    top: f64,
    axis: Axis,
    /// What its horizontal axis is.
    title: &'static str,
}

impl Panel {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * self.axis.place(seconds).clamp(0.0, 1.0)
    }

    fn y(&self, share: f64) -> f64 {
        self.top + PANEL * (1.0 - share)
    }

    fn draw(&self, text: &mut String, curves: &[Curve]) {
        self.axes(text);
        // The first on top: it is the one that never rests on a border.
        curves
            .iter()
            .rev()
            .for_each(|curve| self.curve(text, curve));
        for (number, curve) in curves.iter().enumerate() {
            self.legend(text, number, curve.label, &stroke(curve));
        }
    }

    fn axes(&self, text: &mut String) {
        let bottom = self.top + PANEL;
        for percent in [0, 25, 50, 75, 100] {
            let y = self.y(f64::from(percent) / 100.0);
            let _ = writeln!(
                text,
                "<path d=\"M{LEFT} {y}H{RIGHT}\" stroke=\"#dddddd\"/>\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{percent}%</text>",
                LEFT - 8.0,
                y + 4.0
            );
        }
        for (seconds, label) in self.axis.ticks() {
            let x = self.x(seconds);
            let _ = writeln!(
                text,
                "<path d=\"M{x:.1} {bottom}v5\" stroke=\"#222222\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                bottom + 19.0
            );
        }
        let _ = write!(
            text,
            "<path d=\"M{LEFT} {}V{bottom}H{RIGHT}\" fill=\"none\" stroke=\"#222222\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">share of views</text>\n",
            self.top,
            (LEFT + RIGHT) / 2.0,
            bottom + 38.0,
            self.title,
            self.y(0.5),
        );
    }

    fn curve(&self, text: &mut String, curve: &Curve) {
        let mut path = String::new();
        for (number, (seconds, share)) in curve.points.iter().enumerate() {
            let letter = if number == 0 { 'M' } else { 'L' };
            let _ = write!(
                path,
                "{letter}{:.1} {:.1}",
                self.x(*seconds),
                self.y(*share)
            );
        }
        let _ = writeln!(
            text,
            "<path class=\"curve\" d=\"{path}\" fill=\"none\" {}><title>{}</title></path>",
            stroke(curve),
            curve.label
        );
    }

    fn legend(&self, text: &mut String, number: usize, label: &str, stroke: &str) {
        let y = self.top + 10.0 + 20.0 * number as f64;
        let _ = writeln!(
            text,
            "<path d=\"M{} {y}h22\" {stroke}/><text x=\"{}\" y=\"{}\">{label}</text>",
            RIGHT + 16.0,
            RIGHT + 44.0,
            y + 4.0
        );
    }

    /// What happens at which moment.
    fn marks(&self, text: &mut String, scenario: &Scenario) {
        // One below the other: they may be close together.
        let moments = report::moments(scenario).into_iter().rev();
        for (number, (at, what)) in moments.enumerate() {
            let x = self.x(at.as_secs_f64());
            let y = self.top - 8.0 - 16.0 * number as f64;
            let _ = writeln!(
                text,
                "<path d=\"M{x:.1} {y}V{}\" stroke=\"#888888\" stroke-dasharray=\"2 3\"/>\
                 <text x=\"{:.1}\" y=\"{y}\" fill=\"#555555\">{}</text>",
                self.top + PANEL,
                x + 4.0,
                escaped(&what)
            );
        }
    }

    /// A stroke at the bottom wherever there were false alarms.
    fn alarms(&self, text: &mut String, outcome: &Outcome, length: Duration) {
        let kinds = [
            (
                "false suspicion by a prober",
                "#e69f00",
                5.0,
                &outcome.accusations,
            ),
            (
                "false death, for a member",
                "#b00020",
                10.0,
                &outcome.deaths,
            ),
        ];
        for (number, (label, colour, high, counts)) in kinds.into_iter().enumerate() {
            let total: u64 = counts.iter().sum();
            let stroke = format!("stroke=\"{colour}\" stroke-width=\"1.5\"");
            for (point, _) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let x = self.x(length.as_secs_f64() * (point as f64 + 0.5) / POINTS as f64);
                let bottom = self.top + PANEL;
                let _ = writeln!(text, "<path d=\"M{x:.1} {bottom}v-{high}\" {stroke}/>");
            }
            if total > 0 {
                self.legend(text, 9 + number, &format!("{label}: {total}"), &stroke);
            }
        }
    }
}

fn stroke(curve: &Curve) -> String {
    let dashes = if curve.dashed {
        " stroke-dasharray=\"6 4\""
    } else {
        ""
    };
    format!("stroke=\"{}\" stroke-width=\"2\"{dashes}", curve.colour)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_and_round() {
        let labels = |axis: Axis| {
            let ticks = axis.ticks().into_iter();
            ticks.map(|(_, label)| label).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(labels(Axis::Linear(60.0)), "0 10 20 30 40 50 60");
        assert_eq!(labels(Axis::Linear(5.0)), "0 0.5 1 1.5 2 2.5 3 3.5 4 4.5 5");
        assert_eq!(labels(Axis::Linear(120.0)), "0 20 40 60 80 100 120");
        assert_eq!(
            labels(Axis::Logarithmic(1e-4, 60.0)),
            "100 µs 1 ms 10 ms 100 ms 1 s 10 s"
        );
    }

    #[test]
    fn axes_end_where_they_should() {
        for axis in [Axis::Linear(8.0), Axis::Logarithmic(1e-3, 8.0)] {
            assert!((axis.place(8.0) - 1.0).abs() < 1e-9);
        }
        assert_eq!(Axis::Linear(8.0).place(0.0), 0.0);
        assert_eq!(Axis::Logarithmic(1e-3, 8.0).place(1e-3), 0.0);
    }

    #[test]
    fn what_has_a_meaning_in_xml_is_escaped() {
        assert_eq!(escaped("a<b & c>d"), "a&lt;b &amp; c&gt;d");
    }
}
