//! The examples, compiled as C and as C++, in rings with members in Rust. Without a compiler that is skipped, and said.
//! `VALGRIND=1` runs them under Valgrind; `SANITIZE=1` compiles them with the address sanitizer.

use std::env;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use engine::{Butterfly, Config, Event, Health, Timing};

const C: &[&str] = &["cc", "-std=c11", "-D_GNU_SOURCE"];
const CPP: &[&str] = &["c++", "-std=c++20", "-x", "c++"];

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where libbutterfly.so and libbutterfly.a are: cargo builds them for no test.
fn libraries() -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut cargo = Command::new(env!("CARGO"));
        let built = cargo
            .args(["build", "--quiet"])
            .current_dir(here())
            .status();
        assert!(built.unwrap().success());
        let test = env::current_exe().unwrap();
        let dir = test.parent().unwrap().parent().unwrap().to_owned();
        // The name by which programs look for it at run time.
        let named = dir.join(concat!("libbutterfly.so.", env!("CARGO_PKG_VERSION_MAJOR")));
        let _ = std::fs::remove_file(&named);
        std::os::unix::fs::symlink("libbutterfly.so", named).unwrap();
        dir
    });
    BUILT.clone()
}

fn is_there(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output();
    found.is_ok_and(|found| found.status.success())
}

/// Compiles an example; `None`: the compiler is not there, or the header that it needs.
fn compile(compiler: &[&str], example: &str, links: &[&str], dir: &Path) -> Option<PathBuf> {
    if !is_there(compiler[0]) {
        println!("skipped: {} is not installed", compiler[0]);
        return None;
    }
    let program = dir.join(format!("{example}-{}", compiler[0]));
    let mut command = Command::new(compiler[0]);
    command
        .args(&compiler[1..])
        .args(["-Wall", "-Wextra", "-Werror", "-g", "-o"])
        .arg(&program)
        .arg("-I")
        .arg(here().join("include"))
        .arg(here().join(format!("examples/{example}.c")))
        .args(["-x", "none"])
        .arg("-L")
        .arg(libraries())
        .arg("-lbutterfly")
        .args(links);
    if env::var_os("SANITIZE").is_some() {
        command.arg("-fsanitize=address,undefined");
    }
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}\n{said}");
    Some(program)
}

/// Runs it beside a member in Rust, which it joins; what it prints.
fn run(program: &Path, more: &[&str]) -> String {
    let mut config = Config::new("127.0.0.1:0".parse().unwrap());
    config.timing = Timing::local();
    let mut peer = Butterfly::bind(config).unwrap();
    let addr = peer.local_addr().to_string();
    let stop = peer.handle().unwrap();
    let ring = thread::spawn(move || {
        let mut seen = Vec::new();
        let ran = peer.run(|_, event| {
            if let Event::MemberChanged { to, .. } = event {
                seen.push(to);
            }
            ControlFlow::Continue(())
        });
        ran.map(|()| seen).unwrap()
    });
    let library = libraries();
    let mut command = match env::var_os("VALGRIND") {
        Some(_) => {
            let mut command = Command::new("valgrind");
            command.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]);
            command.args(["--show-leak-kinds=definite,indirect,possible"]);
            command
                .args(["--errors-for-leak-kinds=definite,indirect,possible"])
                .arg(program);
            command
        }
        None => Command::new(program),
    };
    let ran = command
        .args(["127.0.0.1:0", &addr])
        .args(more)
        .env("LD_LIBRARY_PATH", library)
        .output()
        .unwrap();
    let (out, error) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(
        ran.status.success(),
        "{command:?}: {}\n{out}\n{error}",
        ran.status
    );
    stop.stop().unwrap();
    let seen = ring.join().unwrap();
    // Under Valgrind it may be too slow for a moment.
    let ends = (seen.first(), seen.last());
    assert_eq!(
        ends,
        (Some(&Health::Alive), Some(&Health::Departed)),
        "it came and left"
    );
    out.into_owned()
}

#[test]
fn the_epoll_example_meets_a_member_in_rust_and_leaves() {
    let dir = tempfile();
    for compiler in [C, CPP] {
        if let Some(program) = compile(compiler, "epoll", &[], &dir) {
            let out = run(&program, &["2"]);
            assert!(out.contains(": alive ("), "{out}");
            assert!(out.contains("(this one)"), "{out}");
        }
    }
}

#[test]
fn the_libev_example_does_too() {
    if !is_there("cc") || !Path::new("/usr/include/ev.h").exists() {
        println!("skipped: cc or libev-dev is not installed");
        return;
    }
    if let Some(program) = compile(C, "libev", &["-lev"], &tempfile()) {
        run(&program, &[]);
    }
}

/// A directory for this test's programs.
fn tempfile() -> PathBuf {
    let name = thread::current().name().unwrap().replace("::", "-");
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}
