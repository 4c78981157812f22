//! What it costs that a change is known everywhere when it answers, and that verification rests on a lease.

mod changing;
mod lease;
mod null;
mod steady;
mod stopped;
mod verifying;

use std::time::Duration;

use clap::Parser;
use keywright_bench::Outcome;
use keywright_bench::cluster::Cluster;
use keywright_bench::database::durable_cluster;
use keywright_bench::options::CommonOptions;
use keywright_bench::report::{Report, Table, progress};
use tokio::runtime::Runtime;

#[derive(Parser)]
#[command(
    about = "What coherence costs: changes beside a null program, nodes that stop, verification under a lease"
)]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// How many nodes
    #[arg(long, default_value_t = 5)]
    nodes: usize,
    /// How many rounds [default: 9]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds for each part of a round [default: 3]
    #[arg(long)]
    seconds: Option<u64>,
    /// Verifications per second on each node, meanwhile
    #[arg(long, default_value_t = 400)]
    verifications: u64,
    /// Clients that change keys as fast as they can
    #[arg(long, default_value_t = 64)]
    clients: usize,
}

/// How long and how often things are measured.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    rounds: usize,
    seconds: u64,
    /// On each node.
    verifications: u64,
    clients: usize,
    keys: usize,
}

fn main() -> Outcome {
    if null::is_listener() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        return runtime.block_on(null::listen());
    }
    let options = Options::parse();
    let common = options.common;
    let sizes = Sizes {
        rounds: common.size(options.rounds, 9, 1),
        seconds: common.size(options.seconds, 3, 1),
        verifications: options.verifications,
        clients: options.clients,
        keys: common.size(None, 2_000, 50),
    };
    let runtime = Runtime::new()?;
    let mut table = Table::new(["what", "figure"]);

    let database = durable_cluster();
    let cluster = Cluster::start(&database, options.nodes, &[])?;
    runtime.block_on(cluster.ready())?;
    progress("a cluster that does nothing");
    runtime
        .block_on(steady::measure(
            &cluster,
            Duration::from_secs(common.size(None, 20, 2)),
        ))?
        .tell(&mut table);
    progress("making keys");
    let keys = runtime.block_on(changing::make(&cluster, sizes.keys))?;
    progress("changes beside a null program");
    changing::measure(&runtime, &cluster, &keys, sizes)?.tell(&mut table);
    progress("verification beside changes");
    verifying::measure(&runtime, &cluster, &keys, sizes)?.tell(&mut table);
    progress("as many changes as there can be");
    let most = runtime.block_on(changing::as_many_as_there_can_be(&cluster, &keys, sizes))?;
    most.tell(&mut table);
    progress("a node that is stopped");
    runtime
        .block_on(stopped::measure(&cluster, &keys))?
        .tell(&mut table);
    drop(cluster);

    progress("verification under a lease beside SQLite");
    lease::measure(&runtime, &database, sizes)?.tell(&mut table);

    Report::new(format!("Coherence of {} nodes on PostgreSQL", options.nodes))
        .table(&table)
        .note(format!(
            "One machine runs all of it: {nodes} nodes with one worker each, PostgreSQL that commits to the disk, clients. \
             Each node answers {verifications} verifications per second meanwhile, but where said otherwise, about {keys} keys; \
             as many others are changed, but where it says the same. A change gives a key another name, over HTTP. The null program is as little as a cluster can do, on the same \
             database, in turn with the changes: one connection counts a row up, commits and notifies in one message; \
             {nodes} processes hear it, each reads that row and writes one of its own; then the first, who asks again \
             and again without a pause, finds that all have. It is no server: nobody speaks HTTP to it, nothing \
             is authorised, looked up, locked or audited.",
            nodes = options.nodes,
            verifications = options.verifications,
            keys = sizes.keys,
        ))
        .print()
}
