//! `keywright cluster`.

use clap::Args;
use comfy_table::{Cell, CellAlignment};
use keywright_api::{Cluster as Seen, ClusterNode, NoLeaseReason};
use reqwest::Method;

use crate::client::ConnectionOptions;
use crate::command::wait_for;
use crate::failure::Failure;
use crate::{output, table};

/// Show the nodes, as the one that is asked sees them
#[derive(Debug, Args)]
#[command(after_help = "\
Needs a service key with cluster:read. What is left of another node's lease is the most that it can
be: clocks of different machines are not compared.

Examples:
  keywright cluster
  keywright cluster --server https://keys-2.example.com --json")]
pub(crate) struct Cluster {
    #[command(flatten)]
    connection: ConnectionOptions,
}

impl Cluster {
    pub(crate) fn run(self) -> Result<(), Failure> {
        wait_for(async {
            let client = self.connection.client()?;
            let request = client.request(Method::GET, &["api", "cluster"])?;
            let answer = client.send(request).await?;
            if self.connection.json {
                return Ok(output::line(answer.as_text())?);
            }
            show(&answer.read()?)
        })
    }
}

fn show(seen: &Seen) -> Result<(), Failure> {
    let mut fields = vec![
        ("store", table::text(&seen.store)),
        ("newest change", Cell::new(seen.newest_seq)),
        ("changes in the log", Cell::new(seen.change_log_rows)),
    ];
    if let (Some(lease), Some(margin), Some(protocol)) =
        (seen.lease_ms, seen.margin_ms, seen.protocol)
    {
        fields.extend([
            ("lease", Cell::new(format!("{lease} ms"))),
            ("margin", Cell::new(format!("{margin} ms"))),
            ("protocol", Cell::new(protocol)),
        ]);
    }
    fields.push((
        "this node",
        match seen.this_node.no_lease_because {
            None => table::good("has its lease"),
            Some(reason) => table::bad(&format!("has no lease: {}", why(reason))),
        },
    ));
    table::print(table::of_one(&fields))?;
    output::line("")?;
    let mut rows = table::with_headings(&[
        "NODE",
        "ID",
        "VERSION",
        "ADDRESS",
        "SINCE",
        "LEASE LEFT",
        "APPLIED",
        "LAG",
        "KEYS",
        "HITS",
    ]);
    for node in &seen.nodes {
        rows.add_row(row(node));
    }
    for column in rows.column_iter_mut().skip(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table::keep_whole(&mut rows, &[1]);
    Ok(table::print(rows)?)
}

fn row(node: &ClusterNode) -> [Cell; 10] {
    let name = if node.is_this_node {
        format!("{} (this)", node.name)
    } else {
        node.name.clone()
    };
    let hit_rate = node
        .cache_hit_rate
        .map(|rate| format!("{:.1}%", 100.0 * rate));
    [
        table::text(&name),
        Cell::new(node.id),
        table::text(&node.version),
        table::text(&node.address),
        table::moment(&node.since),
        lease_left(node),
        Cell::new(node.applied_seq),
        if node.lag == 0 {
            Cell::new(0)
        } else {
            table::doubtful(&node.lag.to_string())
        },
        Cell::new(node.cache_entries),
        table::optional(hit_rate.as_deref()),
    ]
}

fn lease_left(node: &ClusterNode) -> Cell {
    match node.lease_left_ms {
        Some(0) => table::bad("none"),
        Some(left) if node.is_this_node => Cell::new(format!("{left} ms")),
        Some(left) => Cell::new(format!("<= {left} ms")),
        None if node.is_this_node => Cell::new("no end"),
        None => table::doubtful("not seen"),
    }
}

fn why(reason: NoLeaseReason) -> &'static str {
    match reason {
        NoLeaseReason::Starting => "it has just begun, and joins",
        NoLeaseReason::Stopping => "it is about to end",
        NoLeaseReason::NotAMember => "it takes no part in the cluster",
        NoLeaseReason::DatabaseUnavailable => {
            "the database did not answer, or refused; the server's log says why"
        }
        NoLeaseReason::RenewalTookTooLong => "the database did not answer within a lease",
        NoLeaseReason::TakenForGone => "others took it for gone; it joins again",
        NoLeaseReason::HistoryDiffers => {
            "the database's changes are not those that it has followed; it begins anew"
        }
        NoLeaseReason::RanOut => "it ran out before it was renewed",
    }
}
