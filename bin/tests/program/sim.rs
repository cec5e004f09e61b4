//! `sim`: a ring on a virtual network.

use std::fs;

use serde_json::Value;

use crate::harness::{assert_exit, butterfly, said};

/// What it prints, split at blanks.
#[track_caller]
fn sim(options: &str) -> String {
    let args: Vec<_> = ["sim"]
        .into_iter()
        .chain(options.split_whitespace())
        .collect();
    let output = butterfly(&args);
    assert_exit(&output, 0);
    assert_eq!(said(&output), "", "no progress to who is no terminal");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn json(options: &str) -> Value {
    serde_json::from_str(&sim(&format!("{options} -o json"))).unwrap()
}

/// docs/guides/simulating.md shows what a command prints: the same wherever it is built alike, so a change of the
/// protocol shows there.
#[test]
fn the_documentation_shows_what_is_printed() {
    if !fs::exists("../docs").unwrap() {
        // It comes with the repository, and not with the published package.
        return;
    }
    let page = fs::read_to_string("../docs/guides/simulating.md").unwrap();
    let (_, sample) = page.split_once("```console\n$ butterfly sim ").unwrap();
    let (sample, _) = sample.split_once("```").unwrap();
    let (command, printed) = sample.split_once('\n').unwrap();
    let (options, _) = command.split_once(" --plot ").unwrap();
    let text = sim(options);
    let (first, last) = printed.split_once("[…]\n").unwrap();
    assert!(
        text.starts_with(first),
        "docs/guides/simulating.md shows\n{first}\nbut it is\n{text}"
    );
    for line in last.lines() {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn a_run_ends_with_its_verdict_and_the_load_by_what_happened() {
    let text = sim("--members 8 --kill 1 --for 30s --seed 3");
    assert!(
        text.contains("STARTING") && text.contains("AT REST") && text.contains("AFTER THE CRASH"),
        "{text}"
    );
    let verdict = text.lines().next_back().unwrap();
    assert!(
        verdict.starts_with("Verdict: all knew who crashed after "),
        "{text}"
    );
    assert!(
        verdict.ends_with("; nobody that lived was held for dead."),
        "{text}"
    );
    let text = sim(
        "--members 8 --kill 1 --rumors 0 --start settled --for 900ms --set period=300ms,timeout=100ms",
    );
    assert!(
        text.contains("AT FIRST") && text.contains("AFTER THE CRASH"),
        "{text}"
    );
    assert!(
        text.contains("it never came to it that all knew who crashed"),
        "{text}"
    );
}

#[test]
fn a_timing_is_found_or_what_stands_in_its_way_is_said() {
    let tune = |options: &str| {
        let args: Vec<&str> = ["sim", "tune"]
            .into_iter()
            .chain(options.split(' '))
            .collect();
        butterfly(&args)
    };
    let output = tune("--members 8 --delay 5ms --detect-within 8s --seeds 2");
    assert_exit(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut last = text.lines().rev();
    let (sentence, line) = (last.next().unwrap(), last.next().unwrap());
    let told =
        "With 8 members, 0% loss and 5ms + exp(1.25ms) one way, all know of a lost host after ";
    assert!(sentence.starts_with(told), "{text}");
    assert!(
        sentence.ends_with("; nobody that lived was held for dead."),
        "{text}"
    );
    // The line can be pasted.
    let args: Vec<&str> = line.split(' ').skip(1).chain(["--print-config"]).collect();
    assert_exit(&butterfly(&args), 0);

    let never = tune("--members 8 --detect-within 50ms --seeds 1");
    assert_exit(&never, 1);
    assert!(
        said(&never).contains("no timing finds a lost host within 50ms"),
        "{never:?}"
    );
    let dear = tune("--members 8 --detect-within 8s --max-rate 1 --seeds 1");
    assert_exit(&dear, 1);
    assert!(
        said(&dear).contains("bytes a second, and 1 is the most: raise --max-rate"),
        "{dear:?}"
    );
}

/// Too little was asked for, or for too short.
#[test]
fn what_was_asked_for_and_did_not_happen_is_said() {
    let text = sim("--members 4 --for 5s --loss 0.0001 --partition 1us --kill 1 --rumors 0");
    let told = "NOTHING HAPPENED of what --loss and --partition asked for";
    assert!(text.contains(told), "{text}");
    let text = sim("--members 4 --for 9s --loss 5 --pause 1 --pause-for 1s");
    assert!(!text.contains("NOTHING HAPPENED"), "{text}");
}

#[test]
fn people_read_what_a_ring_does() {
    let text = sim("--members 20 --loss 5 --kill 2 --leave 1 --for 30s --seed 7");
    for part in [
        "20 members, lan\n5% of all messages lost, delay 500µs + exp(500µs); 30 s of the ring's time, seed 7\n",
        "\n    10 s  2 crash, 1 leave, 1 rumor of 256 B\n",
        "HOW LONG UNTIL ",
        "it is held for dead by a member ",
        "A MEMBER'S LOAD ",
        "datagrams sent in a period ",
        "probes in which others were asked ",
        "False alarms: ",
        "At the end all agree on who lives.\n",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn programs_read_what_a_ring_does() {
    let json = json("--members 20 --kill 1 --for 30s --seed 7 --set period=500ms,timeout=200ms");
    let scenario = &json["scenario"];
    assert_eq!(
        (&scenario["members"], &scenario["kill"]),
        (&20.into(), &1.into())
    );
    assert_eq!(
        (&scenario["preset"], &scenario["timing"]["period"]),
        (&"lan".into(), &0.5.into())
    );
    // 19 look on; one of them tells the rumor.
    for (measure, count) in [
        ("acquainted", 19 * 19),
        ("formed", 19),
        ("suspected", 19),
        ("confirmed", 19),
        ("confirmed_by_all", 1),
        ("rumor", 18),
        ("rumor_by_all", 1),
    ] {
        let times = &json["times_s"][measure];
        assert_eq!(
            (times["count"].as_u64(), times["never"].as_u64()),
            (Some(count), Some(0)),
            "{measure}: {times}"
        );
        let sorted =
            ["first", "p50", "p90", "p99", "last"].map(|which| times[which].as_f64().unwrap());
        assert!(sorted.is_sorted() && sorted[0] > 0.0, "{measure}: {times}");
    }
    let confirmed = json["times_s"]["confirmed"]["last"].as_f64().unwrap();
    assert!((0.5..10.0).contains(&confirmed), "{confirmed}");
    let quiet = &json["load"][1];
    assert_eq!(
        (&quiet["from_s"], &quiet["to_s"]),
        (&5.0.into(), &10.0.into())
    );
    let sent = quiet["datagrams_sent_per_period"].as_f64().unwrap();
    assert!((1.9..4.0).contains(&sent), "{sent}");
    for share in ["probes_indirect_percent", "probes_failed_percent"] {
        let percent = quiet[share].as_f64().unwrap();
        assert!((0.0..=100.0).contains(&percent), "{share}: {percent}");
    }
    assert_eq!(json["false_alarms"]["dead"], 0);
    assert_eq!(
        (&json["runs"][0]["seed"], &json["runs"][0]["agreed"]),
        (&7.into(), &true.into())
    );
}

#[test]
fn a_seed_is_a_run() {
    let options = "--members 12 --kill 1 --loss 20 --for 20s";
    let run = |more: &str| sim(&format!("{options} {more} -o json"));
    let three = run("--seed 4 --seeds 3");
    assert_eq!(three, run("--seed 4 --seeds 3"));
    let traces = |text: &str| {
        let json: Value = serde_json::from_str(text).unwrap();
        let runs = json["runs"].as_array().unwrap().clone();
        runs.into_iter()
            .map(|run| run["trace"].clone())
            .collect::<Vec<_>>()
    };
    let together = traces(&three);
    let apart: Vec<_> = (4..7)
        .flat_map(|seed| traces(&run(&format!("--seed {seed}"))))
        .collect();
    assert_eq!(together, apart);
    assert!(
        together[0] != together[1] && together[1] != together[2],
        "{together:?}"
    );
}

#[test]
fn what_is_drawn_has_its_curves() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ring.svg");
    sim(&format!(
        "--members 12 --kill 1 --for 20s --loss 20 --plot {}",
        file.display()
    ));
    let svg = fs::read_to_string(&file).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    assert!(
        svg.contains("fill=\"#ffffff\"/>"),
        "it has a background of its own"
    );
    for part in [
        ">12 members, lan</text>",
        "1 crash, 1 rumor of 256 B",
        "<title>a living one is alive</title>",
        "<title>a crashed one is dead</title>",
        "<title>the rumor is there</title>",
        "<title>knows a member, since the start</title>",
        "<title>holds a crashed one for dead</title>",
        "<title>has the rumor</title>",
    ] {
        assert!(svg.contains(part), "{part} is not in {svg}");
    }
    let curves = svg.lines().filter(|line| line.contains("class=\"curve\""));
    assert_eq!(curves.count(), 4 + 5);

    let nowhere = dir.path().join("nowhere/ring.svg");
    let output = butterfly(&["sim", "--members", "5", "--plot", nowhere.to_str().unwrap()]);
    assert_exit(&output, 1);
    assert!(said(&output).contains("cannot write"), "{}", said(&output));
}

#[test]
fn progress_is_told_to_who_asks() {
    let options = ["sim", "--members", "5", "--for", "10s"];
    let quiet = butterfly(&options);
    let told = butterfly(&[&options[..], &["--progress"]].concat());
    assert_exit(&told, 0);
    assert_eq!(told.stdout, quiet.stdout);
    assert!(
        said(&told).contains("10 s of 5 members simulated in "),
        "{}",
        said(&told)
    );
}

#[test]
fn what_makes_no_sense_is_said() {
    for (options, part) in [
        (
            "--members 4 --kill 3",
            "--kill, --leave and --pause take 3 of 4 members",
        ),
        (
            "--for 60x",
            "write seconds, like 0.5, or with a unit, like 500ms or 2m",
        ),
        ("--loss 200", "write a number of percent from 0 to 100"),
        (
            "--for 30s --partition 1m",
            "give a longer --for, or an earlier --at",
        ),
        ("--set warp=9", "it has period timeout indirect_probes"),
        (
            "--set timeout=2s",
            "timeout is 2s, which members would take as 1s",
        ),
        ("--set period", "write FIELD=VALUE, like period=500ms"),
    ] {
        let args: Vec<_> = ["sim"].into_iter().chain(options.split(' ')).collect();
        let output = butterfly(&args);
        assert_exit(&output, 2);
        assert!(said(&output).contains(part), "{}", said(&output));
    }
}
