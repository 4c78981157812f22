//! What a cluster that does nothing asks of its database.

use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::cluster::Cluster;
use keywright_bench::metrics::Metrics;
use keywright_bench::report::Table;
use sqlx::{Connection as _, PgConnection};

pub(crate) struct Steady {
    per_renewal: f64,
    per_second: f64,
}

impl Steady {
    pub(crate) fn tell(&self, table: &mut Table) {
        table.row([
            "transactions for each renewal of a node, nothing else going on".to_owned(),
            format!("{:.2}", self.per_renewal),
        ]);
        table.row([
            "transactions per second of all nodes, nothing else going on".to_owned(),
            format!("{:.1}", self.per_second),
        ]);
    }
}

pub(crate) async fn measure(cluster: &Cluster, time: Duration) -> Outcome<Steady> {
    // From another database, so that what is asked here does not count.
    let (server, name) = cluster.url.rsplit_once('/').ok_or("a URL has a path")?;
    let mut database = PgConnection::connect(&format!("{server}/postgres")).await?;
    // What a start leaves behind is done, and told to the statistics.
    tokio::time::sleep(time / 2).await;
    let watch = Stopwatch::start();
    let before = (
        transactions(&mut database, name).await?,
        renewals(cluster).await?,
    );
    tokio::time::sleep(time).await;
    let after = (
        transactions(&mut database, name).await?,
        renewals(cluster).await?,
    );
    let transactions = after.0 - before.0;
    Ok(Steady {
        per_renewal: transactions / (after.1 - before.1),
        per_second: transactions / watch.elapsed().as_secs_f64(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
async fn transactions(database: &mut PgConnection, name: &str) -> Outcome<f64> {
    let count: i64 =
        sqlx::query_scalar("SELECT xact_commit FROM pg_stat_database WHERE datname = $1")
            .bind(name)
            .fetch_one(database)
            .await?;
    Ok(count as f64)
}

async fn renewals(cluster: &Cluster) -> Outcome<f64> {
    let mut sum = 0.0;
    for node in &cluster.nodes {
        let metrics = Metrics::of(node.address()).await?;
        sum += metrics
            .growth(&Metrics::default(), "keywright_renewals_total")
            .map(|(_, count)| count)
            .sum::<f64>();
    }
    Ok(sum)
}
