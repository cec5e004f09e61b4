//! What a benchmark is told.

/// The arguments of a benchmark.
pub struct Args {
    /// Whether to measure: `cargo bench` says so. Otherwise it is enough to show that all still works.
    pub measure: bool,
    /// What else was said.
    pub rest: Vec<String>,
}

impl Args {
    /// The arguments; `None`: help was asked for, and given.
    pub fn read(help: &str) -> Option<Args> {
        let mut args = Args {
            measure: false,
            rest: Vec::new(),
        };
        for arg in std::env::args().skip(1) {
            match arg.as_str() {
                "--help" | "-h" => {
                    println!("{help}");
                    return None;
                }
                "--bench" => args.measure = true,
                "--test" => args.measure = false,
                _ => args.rest.push(arg),
            }
        }
        Some(args)
    }
}
