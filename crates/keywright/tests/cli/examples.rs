//! The files in `examples/` name no option, variable or command that the program does not have.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::Machine;

/// What a file of the examples says, by its name.
fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| {
            let path = entry.expect("it can be read").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let text = fs::read_to_string(&path).expect("it is text");
            (name.into_owned(), text)
        })
        .collect();
    files.sort();
    files
}

/// The words of a text, without what stands around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|one: char| !(one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '/')))
}

fn variables(text: &str) -> BTreeSet<&str> {
    words(text)
        .filter(|word| word.starts_with("KEYWRIGHT_"))
        .collect()
}

#[test]
fn every_variable_in_the_examples_is_one_of_serve() {
    let help = Machine::bare().run(&["serve", "--help"]).ok();
    let known = variables(&help);
    assert!(known.contains("KEYWRIGHT_DATABASE"), "{help}");
    let mut found = 0;
    for (name, text) in files() {
        for variable in variables(&text) {
            assert!(
                known.contains(variable),
                "{name}: {variable} is no variable of serve"
            );
            found += 1;
        }
    }
    assert!(found > 8, "{found} are looked at");
}

#[test]
fn every_command_in_the_examples_exists_with_its_flags() {
    let machine = Machine::bare();
    let help = machine.run(&["--help"]).ok();
    let (_, commands) = help.split_once("Commands:\n").expect("a list of commands");
    let commands: Vec<_> = commands
        .lines()
        .map_while(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"serve"), "{help}");
    let mut found = BTreeSet::new();
    for (name, text) in files() {
        for line in text.lines() {
            let said: Vec<_> = words(line).collect();
            let calls = said
                .windows(2)
                .enumerate()
                .filter(|(_, pair)| {
                    pair[0].rsplit('/').next() == Some("keywright") && commands.contains(&pair[1])
                })
                .map(|(place, pair)| (pair[1], &said[place + 2..]));
            for (command, rest) in calls {
                let options = machine.run(&[command, "--help"]).ok();
                let known: BTreeSet<_> = words(&options).collect();
                for flag in rest.iter().filter(|word| word.starts_with("--")) {
                    assert!(
                        known.contains(flag),
                        "{name}: keywright {command} has no {flag}"
                    );
                }
                found.insert(command.to_owned());
            }
        }
    }
    assert_eq!(
        found,
        BTreeSet::from(["cluster", "serve"].map(str::to_owned))
    );
}

/// Every node must be able to finish what it has begun: 30 s for requests, 60 s for the last uses, 5 s for its leave.
#[test]
fn the_examples_give_a_stop_its_time() {
    for (name, text) in files() {
        let expected = match &*name {
            "keywright.service" => "TimeoutStopSec=2min\n",
            "compose.yaml" => "stop_grace_period: 2m\n",
            _ => continue,
        };
        assert!(text.contains(expected), "{name}: {expected}");
    }
}
