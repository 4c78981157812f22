//! Imports go one way. Which crate of the workspace may use which, and who may
//! speak to a database or a web framework, is decided here and nowhere else.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// A crate of the workspace and the crates of the workspace that it may use.
const LAYERS: [(&str, &[&str]); 11] = [
    ("keywright-core", &[]),
    ("keywright-api", &[]),
    ("keywright-store", &["keywright-core"]),
    ("keywright-engine", &["keywright-core", "keywright-store"]),
    (
        "keywright-server",
        &[
            "keywright-core",
            "keywright-api",
            "keywright-engine",
            "keywright-store",
        ],
    ),
    (
        "keywright",
        &[
            "keywright-core",
            "keywright-api",
            "keywright-engine",
            "keywright-store",
            "keywright-server",
        ],
    ),
    // A program of its own, which reaches what strangers can send to.
    ("keywright-fuzz", &["keywright-core", "keywright-server"]),
    // The protocol between the nodes and nothing of what carries it out.
    ("keywright-models", &[]),
    // Programs that measure; nothing of them is shipped. The server is measured
    // as a process, so they use what is below it, what goes over the wire, and
    // the PostgreSQL clusters of the tests.
    (
        "keywright-bench",
        &[
            "keywright-core",
            "keywright-api",
            "keywright-engine",
            "keywright-store",
            "keywright-testkit",
            "keywright-trial",
        ],
    ),
    // Processes and who judges what they answer: of the program it knows what
    // goes over the wire.
    ("keywright-trial", &["keywright-testkit"]),
    // For tests: as a dev-dependency everybody may use it, and that is not
    // looked at here; in a program it has no place.
    ("keywright-testkit", &[]),
];

/// A crate from elsewhere and the only crates that may use it. The benchmarks
/// compare with the bare driver and the bare framework, and so must use both.
const RESERVED: [(&str, &[&str]); 2] = [
    ("sqlx", &["keywright-store", "keywright-bench"]),
    ("axum", &["keywright-server", "keywright-bench"]),
];

/// What a crate's program is built from: dev-dependencies are not in it.
struct Crate {
    name: String,
    uses: Vec<String>,
}

impl From<&Package> for Crate {
    fn from(package: &Package) -> Self {
        let uses = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .map(|dependency| dependency.name.clone())
            .collect();
        Self {
            name: package.name.to_string(),
            uses,
        }
    }
}

fn workspace() -> Vec<Crate> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo reads this workspace");
    metadata
        .workspace_packages()
        .into_iter()
        .map(Crate::from)
        .collect()
}

/// One sentence for each import that the rule forbids.
fn violations(crates: &[Crate]) -> Vec<String> {
    crates.iter().flat_map(violations_of).collect()
}

fn violations_of(Crate { name, uses }: &Crate) -> Vec<String> {
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| layer == name) else {
        return vec![format!(
            "{name} has no place in the import rule: add it to LAYERS in {} and to ARCHITECTURE.md",
            file!()
        )];
    };
    let is_ours = |used: &str| LAYERS.iter().any(|(layer, _)| *layer == used);
    let against_the_layers = uses
        .iter()
        .filter(|used| is_ours(used) && !allowed.contains(&used.as_str()))
        .map(|used| format!("{name} must not use {used}: {}", what_is_allowed(allowed)));
    let reserved = RESERVED
        .iter()
        .filter(|(library, keepers)| {
            !keepers.contains(&name.as_str()) && uses.iter().any(|used| used == library)
        })
        .map(|(library, keepers)| {
            format!(
                "{name} must not use {library}: only {} may",
                keepers.join(" and ")
            )
        });
    against_the_layers.chain(reserved).collect()
}

fn what_is_allowed(allowed: &[&str]) -> String {
    if allowed.is_empty() {
        "it may use no crate of this workspace".to_owned()
    } else {
        format!("of this workspace it may use only {}", allowed.join(", "))
    }
}

fn made_up(name: &str, uses: &[&str]) -> Crate {
    Crate {
        name: name.to_owned(),
        uses: uses.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_workspace_keeps_the_import_rule() {
    let violations = violations(&workspace());
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn every_crate_of_the_rule_exists() {
    let workspace = workspace();
    for (layer, _) in LAYERS {
        assert!(
            workspace.iter().any(|package| package.name == layer),
            "there is no {layer}"
        );
    }
}

#[test]
fn dev_dependencies_are_not_looked_at_and_others_are() {
    let workspace = workspace();
    let testkit = workspace
        .iter()
        .find(|package| package.name == "keywright-testkit");
    let uses = &testkit.expect("this crate").uses;
    assert!(
        uses.contains(&"tempfile".to_owned()),
        "a dependency is missing in {uses:?}"
    );
    assert!(
        !uses.contains(&"cargo_metadata".to_owned()),
        "a dev-dependency is in {uses:?}"
    );
}

#[test]
fn an_import_against_the_layers_is_named() {
    assert_eq!(
        violations(&[
            made_up("keywright-core", &["keywright-store", "sha2"]),
            made_up("keywright-engine", &["keywright-core", "keywright-server"]),
        ]),
        [
            "keywright-core must not use keywright-store: it may use no crate of this workspace",
            "keywright-engine must not use keywright-server: \
             of this workspace it may use only keywright-core, keywright-store",
        ]
    );
}

#[test]
fn the_testkit_in_a_program_is_named() {
    assert_eq!(
        violations(&[made_up("keywright-api", &["keywright-testkit"])]),
        ["keywright-api must not use keywright-testkit: it may use no crate of this workspace"]
    );
}

#[test]
fn a_reserved_library_outside_its_crate_is_named() {
    assert_eq!(
        violations(&[
            made_up("keywright-store", &["sqlx"]),
            made_up("keywright-server", &["axum"]),
            made_up("keywright-bench", &["axum", "sqlx"]),
            made_up("keywright", &["axum", "keywright-server", "sqlx"]),
        ]),
        [
            "keywright must not use sqlx: only keywright-store and keywright-bench may",
            "keywright must not use axum: only keywright-server and keywright-bench may",
        ]
    );
}

#[test]
fn a_crate_that_the_rule_does_not_know_is_named() {
    assert_eq!(
        violations(&[made_up("keywright-newcomer", &[])]),
        ["keywright-newcomer has no place in the import rule: \
          add it to LAYERS in crates/testkit/tests/import_rule.rs and to ARCHITECTURE.md"]
    );
}
