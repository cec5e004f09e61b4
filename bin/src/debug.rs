//! `butterfly debug`: one archive that a report of a fault can come with.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use rustix::system::uname;
use tar::{Builder, Header};

use crate::cli::DebugArgs;
use crate::client::Client;
use crate::failure::Failure;
use crate::output;

/// How often the metrics are read.
const PAUSE: Duration = Duration::from_secs(1);

/// What the gateway is asked for, and the file that it becomes.
const ASKED: [(&str, &str); 7] = [
    ("status.json", "/v1/status"),
    ("members.json", "/v1/members"),
    ("seeds.json", "/v1/seeds"),
    ("rumors.json", "/v1/rumors?bodies=false"),
    ("history.json", "/v1/history"),
    ("settings.toml", "/v1/settings"),
    ("log.txt", "/v1/log"),
];

const README: &str = "\
What a running member of Butterfly said of itself and of its ring, for a report of a fault.

Within: names, ids and addresses of members; names and versions of services, configurations and files; settings, with the
paths of keys and tokens; the latest lines of the log; what the system is.
Not within: ring keys, tokens, the commands of --on, and what configurations and files say.
";

pub fn debug(args: &DebugArgs) -> Result<(), Failure> {
    let client = Client::new(&args.gateway)?;
    // Nobody there: there is nothing to pack.
    client.get_text("/v1/status")?;
    let path = args.out.clone().unwrap_or_else(default_path);
    let cannot_write = |error: io::Error| {
        Failure::failed(format_args!("cannot write {}: {error}", path.display()))
    };
    let mut options = File::options();
    // It is for its owner to give away.
    let options = options.write(true).create_new(true).mode(0o600);
    let file = options.open(&path).map_err(cannot_write)?;
    let mut archive = Archive::new(file);
    let packed = pack(&client, args.seconds, &mut archive).and_then(|()| archive.finish());
    packed.map_err(cannot_write)?;
    output::print_line(&path.display().to_string())
}

fn default_path() -> PathBuf {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    format!("butterfly-debug-{now}.tar.gz").into()
}

fn pack(client: &Client, seconds: Duration, archive: &mut Archive<File>) -> io::Result<()> {
    archive.add("README.txt", README)?;
    archive.add("system.txt", &system())?;
    let mut failures = String::new();
    let mut ask = |archive: &mut Archive<File>, name: &str, path: &str| match client.get_text(path)
    {
        Ok(text) => archive.add(name, &text),
        Err(error) => {
            failures += &format!("{path}: {}\n", Failure::from(error));
            Ok(())
        }
    };
    for (name, path) in ASKED {
        ask(archive, name, path)?;
    }
    let (begun, mut number) = (Instant::now(), 0);
    loop {
        ask(archive, &format!("metrics/{number:02}.txt"), "/metrics")?;
        number += 1;
        let next = PAUSE * number;
        if next > seconds {
            break;
        }
        thread::sleep(next.saturating_sub(begun.elapsed()));
    }
    if !failures.is_empty() {
        output::tell("some of it could not be had: failures.txt in the archive says why");
        archive.add("failures.txt", &failures)?;
    }
    Ok(())
}

/// This program, and the machine that it runs on.
fn system() -> String {
    let system = uname();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!(
        "butterfly {}\n{} {} {}\n{cores} cores\nwritten at {}\n",
        env!("CARGO_PKG_VERSION"),
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.machine().to_string_lossy(),
        Timestamp::now(),
    )
}

/// A `.tar.gz` in a folder of its own.
struct Archive<W: Write> {
    tar: Builder<GzEncoder<W>>,
    time: u64,
}

impl<W: Write> Archive<W> {
    fn new(to: W) -> Self {
        Archive {
            tar: Builder::new(GzEncoder::new(to, Compression::default())),
            time: u64::try_from(Timestamp::now().as_second()).unwrap_or_default(),
        }
    }

    fn add(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(self.time);
        let path = format!("butterfly-debug/{name}");
        self.tar.append_data(&mut header, path, text.as_bytes())
    }

    fn finish(self) -> io::Result<()> {
        self.tar.into_inner()?.finish()?.flush()
    }
}
