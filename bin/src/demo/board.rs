//! What one member sees of the ring, a line each time that it changes.

use std::time::Duration;

use butterfly::Health;

use super::ring::Ring;
use crate::table::{painted, span};

/// A ring of no more members than this is shown with a column for each.
pub const WIDTH: usize = 8;

/// Wide enough for the time and for each column.
const TIME: usize = 11;

/// The lines' layout.
pub struct Board {
    names: Vec<String>,
    colours: bool,
}

impl Board {
    pub fn new(names: &[String], colours: bool) -> Self {
        Board {
            names: names.to_vec(),
            colours,
        }
    }

    /// The head of the columns, if there are any.
    pub fn head(&self) -> String {
        if self.names.len() > WIDTH {
            return String::new();
        }
        let columns: Vec<_> = self
            .names
            .iter()
            .map(|name| format!("{name:COLUMN$}"))
            .collect();
        format!("{:TIME$}  {}\n", "", columns.join("  "))
            .trim_end()
            .to_owned()
            + "\n"
    }

    /// What the member of this place sees now.
    pub fn line(&self, ring: &Ring, by: usize, after: Duration) -> String {
        let seen = (0..self.names.len()).map(|of| ring.health(by, of));
        let text = if self.names.len() > WIDTH {
            self.counts(seen)
        } else {
            seen.map(|health| self.cell(health))
                .collect::<Vec<_>>()
                .join("  ")
        };
        format!("{:>TIME$}  {}\n", span(after), text.trim_end())
    }

    fn cell(&self, health: Option<Health>) -> String {
        match health {
            Some(health) => painted(&format!("{health:COLUMN$}"), health.as_str(), self.colours),
            None => format!("{:COLUMN$}", "-"),
        }
    }

    fn counts(&self, seen: impl Iterator<Item = Option<Health>>) -> String {
        let seen: Vec<_> = seen.flatten().collect();
        let counts = Health::ALL.iter().filter_map(|health| {
            let count = seen.iter().filter(|seen| *seen == health).count();
            (count > 0)
                .then(|| painted(&format!("{count} {health}"), health.as_str(), self.colours))
        });
        counts.collect::<Vec<_>>().join(", ")
    }
}

/// The longest health, or name of the first eight.
const COLUMN: usize = 9;
