//! `butterfly sim scorecard`: what the protocol is worth, measured on the simulator beside bounds that
//! stand on what is published of others.
//!
//! A file a row; each says what is done, what is measured, and which bound it has. Nothing is written down
//! beforehand but the bounds.

mod bootstrap;
mod departure;
mod detection;
mod first_ping;
mod flapping;
mod gone;
mod halves;
mod joining;
mod load;
mod loss;
mod pauses;
mod plan;
mod report;
mod restart;
mod row;
mod together;

use crate::cli::ScorecardArgs;
use crate::failure::Failure;
use crate::output;
use plan::Plan;
use row::{Row, RowSpec};

/// All rows, in the order in which they are printed.
const ROWS: [RowSpec; 13] = [
    joining::ROW,
    load::ROW,
    first_ping::ROW,
    pauses::ROW,
    flapping::ROW,
    bootstrap::ROW,
    restart::ROW,
    halves::ROW,
    departure::ROW,
    loss::ROW,
    detection::ROW,
    together::ROW,
    gone::ROW,
];

pub fn scorecard(args: &ScorecardArgs) -> Result<(), Failure> {
    let plan = Plan::new(args.quick, args.seeds, args.from);
    if args.quick {
        output::tell("--quick: small rings and few seeds show that it works, not what it is worth");
    }
    let mut rows = Vec::new();
    let mut untested = None;
    for spec in chosen(&args.rows)? {
        output::tell(&format!("row {}: {} …", spec.number, spec.title));
        let row = Row::measure(spec, &plan);
        output::print(&report::row(&row, args.output))?;
        rows.push(row);
        untested = untested.or(without_faults(spec.number, &plan));
    }
    output::print(&report::end(&rows, args.output))?;
    if let Some(failure) = untested {
        return Err(failure);
    }
    let missed = rows.iter().filter(|row| !row.is_met()).count();
    if args.strict && missed > 0 {
        let rows = output::count(missed, "row");
        return Err(Failure::failed(format_args!("{rows} missed a bound")));
    }
    Ok(())
}

/// Says which fault the row was to have and did not, whatever its figures are worth.
fn without_faults(row: u8, plan: &Plan) -> Option<Failure> {
    let missing = plan.take_missing();
    let (seed, fault) = missing.first()?;
    let others = match missing.len() - 1 {
        0 => String::new(),
        others => format!(" (and so in {others} more)"),
    };
    Some(Failure::failed(format_args!(
        "row {row}, seed {seed}: {fault} was to happen and did not, so its figures show nothing{others}"
    )))
}

/// The rows of these numbers; none: all.
fn chosen(numbers: &[u8]) -> Result<Vec<&'static RowSpec>, Failure> {
    let known = |number: &u8| ROWS.iter().any(|row| row.number == *number);
    if let Some(unknown) = numbers.iter().find(|number| !known(number)) {
        let numbers: Vec<_> = ROWS.iter().map(|row| row.number.to_string()).collect();
        return Err(Failure::usage(format_args!(
            "there is no row {unknown}: the rows are {}",
            numbers.join(", ")
        )));
    }
    let wanted = |row: &&RowSpec| numbers.is_empty() || numbers.contains(&row.number);
    Ok(ROWS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use butterfly::sim::Fault;

    use super::*;

    #[test]
    fn rows_are_chosen_by_their_numbers() {
        let numbers = |rows: &[u8]| {
            let rows = chosen(rows).unwrap();
            rows.iter().map(|row| row.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&[]).len(), ROWS.len());
        assert_eq!(numbers(&[11, 3, 3]), [3, 11]);
        let error = chosen(&[3, 99]).unwrap_err().to_string();
        assert!(error.contains("no row 99: the rows are"), "{error}");
    }

    #[test]
    fn a_row_without_its_faults_is_a_failure() {
        let plan = Plan::new(true, None, 0);
        assert_eq!(without_faults(5, &plan), None);
        let sim = plan::settled(3, 2);
        for seed in [4, 3] {
            plan.demand(seed, &sim, Fault::LinkLoss);
        }
        let failure = without_faults(5, &plan).unwrap().to_string();
        assert!(
            failure.starts_with("row 5, seed 3: link_loss was to happen and did not"),
            "{failure}"
        );
        assert_eq!(without_faults(5, &plan), None, "of the next row");
    }

    #[test]
    fn rows_stand_in_the_order_of_their_numbers() {
        assert!(ROWS.is_sorted_by(|one, next| one.number < next.number));
    }
}
