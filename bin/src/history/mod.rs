//! What led to each transition of a member, for people and programs: kept, shown, and explained.

mod command;
mod explain;
mod kept;
mod row;

pub use command::{ends, explain, find, history};
#[cfg(test)]
pub use explain::Explanation;
pub use explain::explain as explained;
pub use kept::Kept;
pub use row::{HistoryRow, MemberIdText, Moment, Rows, Who};
