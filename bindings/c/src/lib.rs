//! The C interface of Butterfly: `include/butterfly.h` is generated from the functions and types of these files.
//!
//! | file | what is in it |
//! |---|---|
//! | `status` | how functions fail, and panics that stop here |
//! | `raw` | pointers from C, and texts to C |
//! | `config` | what a member is told before it starts |
//! | `member` | starting, driving, commanding and ending one |
//! | `event` | what happened |
//! | `tags` | what members say of themselves |
//! | `talk` | user events, and questions to members |
//! | `view` | lists of members and services, and what rumors hold |
//! | `log` | log lines |

// Types are named as in C.
#![allow(non_camel_case_types)]

mod config;
mod event;
mod log;
mod member;
mod raw;
mod status;
mod tags;
mod talk;
#[cfg(test)]
mod tests;
mod view;
