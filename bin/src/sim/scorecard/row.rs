//! A row of the scorecard: what was measured, and whether that is within its bound.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::plan::Plan;

/// What a row is about, and how it is measured.
#[derive(Debug)]
pub struct RowSpec {
    pub number: u8,
    pub title: &'static str,
    /// What is done and measured, in a sentence or two.
    pub what: &'static str,
    /// Network, timing, and whatever else the figures depend on.
    pub conditions: &'static str,
    /// Where the bound comes from.
    pub source: &'static str,
    pub measure: fn(&Plan) -> Vec<Figure>,
}

/// A row that was measured.
pub struct Row {
    pub spec: &'static RowSpec,
    pub figures: Vec<Figure>,
}

impl Row {
    pub fn measure(spec: &'static RowSpec, plan: &Plan) -> Self {
        let figures = (spec.measure)(plan);
        Row { spec, figures }
    }

    /// Whether no bound of the row is missed.
    pub fn is_met(&self) -> bool {
        self.figures
            .iter()
            .all(|figure| figure.is_met() != Some(false))
    }
}

/// What numbers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    /// Whole things: members, events.
    Count,
    /// Parts of things: means of counts.
    Number,
    /// So many in a member-hour.
    Rate,
}

/// Numbers that were measured, one for each run or for whatever `of` says, and the bound they have.
pub struct Figure {
    pub what: String,
    pub unit: Unit,
    /// In the order of the seeds, where there is one for each.
    pub values: Vec<f64>,
    /// What there is one value for.
    pub of: &'static str,
    pub bound: Option<Bound>,
    /// What others have, or where the bound comes from, if not said by the row.
    pub beside: &'static str,
}

/// A statistic of the values and where it has to lie.
#[derive(Clone, Debug)]
pub struct Bound {
    pub of: Statistic,
    pub within: RangeInclusive<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    Mean,
    Median,
    Highest,
    Lowest,
}

impl Figure {
    /// What was measured, one value for each seed.
    pub fn new(what: impl Into<String>, unit: Unit, values: Vec<f64>) -> Self {
        Figure {
            what: what.into(),
            unit,
            values,
            of: "seeds",
            bound: None,
            beside: "",
        }
    }

    /// There is one value for each of something else.
    pub fn of(self, of: &'static str) -> Self {
        Figure { of, ..self }
    }

    /// Times, one for each seed; `None`: what was waited for did not come, which is longer than any time.
    pub fn times(
        what: impl Into<String>,
        times: impl IntoIterator<Item = Option<Duration>>,
    ) -> Self {
        let seconds =
            |time: Option<Duration>| time.map_or(f64::INFINITY, |time| time.as_secs_f64());
        let seconds = times.into_iter().map(seconds).collect();
        Figure::new(what, Unit::Seconds, seconds)
    }

    pub fn beside(self, beside: &'static str) -> Self {
        Figure { beside, ..self }
    }

    pub fn at_most(self, of: Statistic, most: f64) -> Self {
        self.within(of, f64::NEG_INFINITY..=most)
    }

    pub fn at_least(self, of: Statistic, least: f64) -> Self {
        self.within(of, least..=f64::INFINITY)
    }

    pub fn within(self, of: Statistic, within: RangeInclusive<f64>) -> Self {
        let bound = Some(Bound { of, within });
        Figure { bound, ..self }
    }

    /// Whether it is within its bound; `None`: it has none. Without a value no bound is met.
    pub fn is_met(&self) -> Option<bool> {
        let bound = self.bound.as_ref()?;
        let value = self.statistic(bound.of);
        Some(value.is_some_and(|value| bound.within.contains(&value)))
    }

    /// `None`: there is nothing to take it of.
    pub fn statistic(&self, which: Statistic) -> Option<f64> {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        match which {
            Statistic::Mean if values.is_empty() => None,
            Statistic::Mean => Some(values.iter().sum::<f64>() / values.len() as f64),
            Statistic::Median => values.get(values.len() / 2).copied(),
            Statistic::Highest => values.last().copied(),
            Statistic::Lowest => values.first().copied(),
        }
    }

    /// The value that is the furthest to where the bound is.
    pub fn worst(&self) -> Option<f64> {
        let lower = |bound: &Bound| *bound.within.end() == f64::INFINITY;
        let which = match &self.bound {
            Some(bound) if lower(bound) => Statistic::Lowest,
            _ => Statistic::Highest,
        };
        self.statistic(which)
    }

    /// A value as it is printed.
    pub fn show(&self, value: Option<f64>) -> String {
        match value {
            Some(f64::INFINITY) => "never".to_owned(),
            Some(value) => self.unit.show(value),
            None => "-".to_owned(),
        }
    }

    /// The bound as it is printed.
    pub fn show_bound(&self) -> String {
        let Some(Bound { of, within }) = &self.bound else {
            return String::new();
        };
        let show = |value: &f64| self.unit.show(*value);
        match (within.start(), within.end()) {
            (low, high) if low == high => format!("{of} = {}", show(low)),
            (&f64::NEG_INFINITY, high) => format!("{of} ≤ {}", show(high)),
            (low, &f64::INFINITY) => format!("{of} ≥ {}", show(low)),
            (low, high) => format!("{of} {} … {}", show(low), show(high)),
        }
    }
}

/// How flat something is: 1 if all values are the same.
pub fn highest_over_lowest(values: impl IntoIterator<Item = f64>) -> f64 {
    let (lowest, highest) = values
        .into_iter()
        .fold((f64::MAX, 0.0_f64), |(lowest, highest), value| {
            (lowest.min(value), highest.max(value))
        });
    highest / lowest
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds if value < 10.0 => format!("{value:.2} s"),
            Unit::Seconds => format!("{value:.1} s"),
            Unit::Count | Unit::Rate if value.fract() == 0.0 => format!("{value:.0}"),
            Unit::Rate => format!("{value:.4}"),
            Unit::Number if value >= 1000.0 => format!("{value:.0}"),
            Unit::Count | Unit::Number => format!("{value:.3}"),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::Count | Unit::Number => "1",
            Unit::Rate => "1/h",
        }
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Statistic::Mean => "mean",
            Statistic::Median => "median",
            Statistic::Highest => "highest",
            Statistic::Lowest => "lowest",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> Figure {
        Figure::new("it", Unit::Seconds, vec![3.0, 1.0, 8.0])
    }

    #[test]
    fn what_is_told_of_the_values() {
        let figure = figure();
        let tell = |which| figure.statistic(which);
        assert_eq!(tell(Statistic::Mean), Some(4.0));
        assert_eq!(tell(Statistic::Median), Some(3.0));
        assert_eq!(tell(Statistic::Highest), Some(8.0));
        assert_eq!(tell(Statistic::Lowest), Some(1.0));
        assert_eq!(figure.is_met(), None);
    }

    #[test]
    fn a_bound_is_met_or_missed() {
        let met = |figure: Figure| (figure.is_met(), figure.show_bound());
        let bound = |text: &str| text.to_owned();
        let median = figure().at_most(Statistic::Median, 3.0);
        assert_eq!(met(median), (Some(true), bound("median ≤ 3.00 s")));
        let mean = figure().at_most(Statistic::Mean, 3.0);
        assert_eq!(met(mean), (Some(false), bound("mean ≤ 3.00 s")));
        let lowest = figure().at_least(Statistic::Lowest, 1.0);
        assert_eq!(lowest.worst(), Some(1.0));
        assert_eq!(met(lowest), (Some(true), bound("lowest ≥ 1.00 s")));
        let within = figure().within(Statistic::Mean, 3.5..=4.5);
        assert_eq!(met(within), (Some(true), bound("mean 3.50 s … 4.50 s")));
    }

    #[test]
    fn no_more_digits_than_say_something() {
        let show = |unit, value| Figure::new("it", unit, Vec::new()).show(Some(value));
        assert_eq!(show(Unit::Number, 4_180_852.0), "4180852");
        assert_eq!(show(Unit::Number, 2.0333), "2.033");
        assert_eq!(show(Unit::Count, 17.0), "17");
        assert_eq!(show(Unit::Rate, 0.25), "0.2500");
        assert_eq!(show(Unit::Seconds, 9.876), "9.88 s");
        assert_eq!(show(Unit::Seconds, 59.71), "59.7 s");
    }

    #[test]
    fn nothing_measured_meets_no_bound() {
        let figure = Figure::new("it", Unit::Count, Vec::new()).at_most(Statistic::Highest, 1.0);
        assert_eq!(figure.is_met(), Some(false));
        assert_eq!(figure.show(figure.worst()), "-");
    }

    #[test]
    fn what_is_flat_has_a_ratio_of_one() {
        assert_eq!(highest_over_lowest([2.0, 2.0]), 1.0);
        assert_eq!(highest_over_lowest([3.0, 1.5, 2.0]), 2.0);
        assert_eq!(highest_over_lowest([f64::INFINITY, 1.0]), f64::INFINITY);
    }

    #[test]
    fn what_never_comes_is_the_worst() {
        let second = Some(Duration::from_secs(1));
        let figure = Figure::times("it", [None, second, second]).at_most(Statistic::Median, 5.0);
        assert_eq!(figure.is_met(), Some(true));
        assert_eq!(figure.show(figure.worst()), "never");
        let figure = figure.at_most(Statistic::Highest, 5.0);
        assert_eq!(figure.is_met(), Some(false));
    }
}
