//! What is shipped beside the program, and made from its command line: completions and manual pages.

use std::fs;
use std::path::Path;

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::failure::Failure;
use crate::output;

pub fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "butterfly", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

pub fn man(args: &ManArgs) -> Result<(), Failure> {
    match &args.dir {
        Some(dir) => write_pages(dir).map_err(|error| {
            Failure::failed(format_args!(
                "cannot write manual pages to {}: {error}",
                dir.display()
            ))
        }),
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(command(&args.command)?).render(&mut page);
            rendered.map_err(Failure::failed)?;
            output::print(&String::from_utf8_lossy(&page))
        }
    }
}

/// The command of this name.
fn command(path: &[String]) -> Result<clap::Command, Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    // Only then do commands know whose they are.
    command.build();
    for part in path {
        let Some(found) = command.find_subcommand(part) else {
            let all = command.get_subcommands().map(clap::Command::get_name);
            let all: Vec<_> = all.collect();
            return Err(Failure::usage(match all.as_slice() {
                [] => format!("{part:?}: \"{}\" has no commands", command.get_name()),
                all => format!("there is no command {part:?}: {}", all.join(", ")),
            }));
        };
        command = found.clone();
    }
    Ok(command)
}

fn write_pages(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)
}

pub fn version() -> Result<(), Failure> {
    output::print_line(concat!("butterfly ", env!("CARGO_PKG_VERSION")))
}
