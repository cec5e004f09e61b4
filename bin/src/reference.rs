//! Pages of the documentation that the command line is the source of.

use std::fmt::Write;

use clap::{Command, CommandFactory};

use crate::cli::Cli;
use crate::settings::{Kind, keys, run_command};

/// What can be asked of a gateway, in Markdown.
pub fn http() -> String {
    crate::gateway::openapi::page()
}

/// The help of all commands, in Markdown.
pub fn commands() -> String {
    let mut cli = Cli::command().term_width(100).disable_help_subcommand(true);
    cli.build();
    let mut text = String::new();
    describe(&cli, &mut text);
    text
}

fn describe(command: &Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let help = command
        .clone()
        .term_width(100)
        .render_long_help()
        .to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "## {name}\n\n```text\n{}\n```\n\n",
        help.join("\n").trim_end()
    );
    for inner in command.get_subcommands() {
        describe(inner, text);
    }
}

/// The table of all settings, in Markdown.
pub fn configuration() -> String {
    let mut text = String::from("| key | variable | value | meaning |\n|---|---|---|---|\n");
    let run = run_command();
    for key in keys() {
        let Some(arg) = run
            .get_arguments()
            .find(|arg| arg.get_id() == key.id.as_str())
        else {
            continue;
        };
        let variable = match key.kind {
            Kind::List => "–".to_owned(),
            _ => format!("`{}`", key.variable()),
        };
        let names = arg.get_value_names().unwrap_or_default();
        let name = names.first().map_or("", |name| name.as_str());
        let value = match key.kind {
            Kind::List => format!("list of {name}"),
            Kind::Switch => "true or false".to_owned(),
            Kind::Number | Kind::Text => name.replace('|', " or "),
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.replace('\n', " ").replace('|', "\\|");
        let mut notes = String::new();
        let known = arg.get_possible_values();
        let known: Vec<_> = known.iter().map(|it| it.get_name()).collect();
        if key.kind == Kind::Text && !known.is_empty() {
            notes += &format!(" [one of: {}]", known.join(", "));
        }
        if let [default] = arg.get_default_values()
            && !default.is_empty()
        {
            notes += &format!(" [default: {}]", default.to_string_lossy());
        }
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {variable} | {value} | {help}{notes} |",
            key.name
        );
    }
    text
}
