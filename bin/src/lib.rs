//! The program `butterfly`, as a library: for its `main`, and for the fuzzers.

mod address;
mod agent;
mod background;
mod body;
mod cli;
mod client;
mod commands;
mod debug;
mod demo;
mod descriptors;
mod doctor;
mod draw;
mod event;
mod events;
mod failure;
mod filter;
#[doc(hidden)]
pub mod fuzz;
mod gateway;
mod gossip;
mod handlers;
mod history;
mod inject;
mod joining;
#[cfg(test)]
mod logged;
mod logging;
#[doc(hidden)]
pub mod memory;
mod metrics;
mod output;
mod peer_file;
mod ping;
mod plan;
mod query;
mod query_row;
mod quiet;
#[doc(hidden)]
pub mod reference;
mod replay;
mod reread;
mod ring_key;
mod ring_keys;
mod rumor_row;
mod rumor_table;
mod run;
mod secret;
mod seeds;
mod service_manager;
mod settings;
mod shipped;
mod sim;
mod socket_drops;
mod srv;
mod store;
mod sys_info;
mod table;
mod tag;
mod tags;
mod timing;
mod top;
mod unix_transport;
mod version;
mod view;

use std::io::{self, Write};
use std::process::ExitCode;

use butterfly::text::is_hidden;
use clap::Parser;

use cli::{Cli, Command};
use failure::Failure;
use settings::{Environment, Settings};

/// Does what the command line asks for; returns the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return say(&error),
    };
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The help, or what is wrong with the command line.
fn say(error: &clap::Error) -> ExitCode {
    let args = || std::env::args_os().map(|arg| arg.to_string_lossy().into_owned());
    if args().any(|arg| arg.contains(is_hidden)) {
        let message = output::with_args_shown(&error.render().to_string(), args());
        let _ = io::stderr().write_all(message.as_bytes());
    } else {
        // Nobody need listen.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::demo(&args),
        Command::Run(_) => run::run(Settings::new(
            std::env::args_os().collect(),
            Environment::of_process(),
        )?),
        Command::Members(args) => commands::members(&args),
        Command::Top(args) => top::top(&args),
        Command::Status(args) => commands::status(&args),
        Command::Events(args) => events::events(&args),
        Command::History(args) => history::history(&args),
        Command::Explain(args) => history::explain(&args),
        Command::Debug(args) => debug::debug(&args),
        Command::Join(args) => joining::join(&args),
        Command::Unjoin(args) => joining::unjoin(&args),
        Command::Leave(args) => commands::leave(&args),
        Command::Block(args) => commands::block(&args),
        Command::Unblock(args) => commands::unblock(&args),
        Command::Service(args) => gossip::service(&args.command),
        Command::Config(args) => gossip::config(&args.command),
        Command::File(args) => gossip::file(&args.command),
        Command::Election(args) => gossip::election(&args.command),
        Command::Tag(args) => tag::tag(&args.command),
        Command::Query(args) => query::query(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Event(args) => event::event(&args.command),
        Command::Forget(args) => gossip::forget(&args),
        Command::Depart(args) => gossip::depart(&args),
        Command::Rumors(args) => gossip::rumors(&args),
        Command::Inject(args) => inject::inject(&args),
        Command::Ping(args) => ping::ping(&args),
        Command::Sim(args) => sim::sim(&args),
        Command::RingKey(args) => ring_key::run(&args),
        Command::Completions(args) => shipped::completions(&args),
        Command::Man(args) => shipped::man(&args),
        Command::Version => shipped::version(),
        Command::Replay(args) => replay::replay(&args),
        Command::Trace(args) => draw::run(&args),
        Command::Store(args) => store::run(&args),
    }
}
