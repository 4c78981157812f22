//! One node that is held still: the first change waits for its lease, the next ones do not.

use std::fs;
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::cluster::Cluster;
use keywright_bench::report::Table;
use rustix::process::{Pid, Signal, kill_process};

use crate::changing::{Changer, Keys};

const NEXT: usize = 50;

pub(crate) struct Stopped {
    first: Duration,
    next: Vec<Duration>,
}

impl Stopped {
    pub(crate) fn tell(&self, table: &mut Table) {
        table.row([
            "with one node stopped: the first change, ms".to_owned(),
            format!("{:.0}", self.first.as_secs_f64() * 1e3),
        ]);
        let longest = self.next.iter().max().copied().unwrap_or_default();
        table.row([
            format!("the longest of the next {}, ms", self.next.len()),
            format!("{:.0}", longest.as_secs_f64() * 1e3),
        ]);
    }
}

pub(crate) async fn measure(cluster: &Cluster, keys: &Keys) -> Outcome<Stopped> {
    let last = cluster.nodes.last().ok_or("there is no node")?;
    let process = i32::try_from(last.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or("a process number")?;
    let mut changer = Changer::on(cluster, 0, &keys.others, 0, 1);
    changer.change().await?;
    kill_process(process, Signal::STOP)?;
    // A signal is on its way for a moment.
    while !is_stopped(last.id())? {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let measured = async {
        let first = changer.change().await?;
        let mut next = Vec::new();
        for _ in 0..NEXT {
            next.push(changer.change().await?);
        }
        Outcome::Ok(Stopped { first, next })
    };
    let stopped = measured.await;
    kill_process(process, Signal::CONT)?;
    stopped
}

/// Whether all threads of the process stand still.
fn is_stopped(process: u32) -> Outcome<bool> {
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let state = status.lines().find_map(|line| line.strip_prefix("State:"));
        if !state.is_some_and(|state| state.trim_start().starts_with('T')) {
            return Ok(false);
        }
    }
    Ok(true)
}
