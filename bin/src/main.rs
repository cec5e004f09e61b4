//! The program `butterfly`: runs a member of a ring and looks into it.

mod address;
mod agent;
mod background;
mod body;
mod cli;
mod client;
mod commands;
mod demo;
mod descriptors;
mod failure;
mod gateway;
mod gossip;
mod inject;
mod logging;
mod memory;
mod output;
mod ping;
mod quiet;
mod resolver;
mod ring_key;
mod rumor_row;
mod rumor_table;
mod run;
mod secret;
mod seeds;
mod sim;
mod store;
mod sys_info;
mod table;
mod timing;
mod view;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::Failure;

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::demo(&args),
        Command::Run(args) => run::run(&args),
        Command::Members(args) => commands::members(&args),
        Command::Status(args) => commands::status(&args),
        Command::Join(args) => commands::join(&args),
        Command::Leave(args) => commands::leave(&args),
        Command::Block(args) => commands::block(&args),
        Command::Unblock(args) => commands::unblock(&args),
        Command::Service(args) => gossip::service(&args.command),
        Command::Config(args) => gossip::config(&args.command),
        Command::File(args) => gossip::file(&args.command),
        Command::Election(args) => gossip::election(&args.command),
        Command::Depart(args) => gossip::depart(&args),
        Command::Rumors(args) => gossip::rumors(&args),
        Command::Inject(args) => inject::inject(&args),
        Command::Ping(args) => ping::ping(&args),
        Command::Sim(args) => sim::sim(&args),
        Command::RingKey(args) => ring_key::run(&args),
        Command::Store(args) => store::run(&args),
    }
}
