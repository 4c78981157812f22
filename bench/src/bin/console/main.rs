//! The console's pages with many keys in the database: how long the server takes for each, and how many bytes come over
//! the wire, for who comes first and for who goes on.
//!
//! One visitor asks for one page after the other, page by page in turn, beside the answer of `/health/live`, which is
//! what a request costs at all.

mod browser;
mod filling;

use clap::Parser;
use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::database::{Database, Kind, durable_cluster};
use keywright_bench::options::CommonOptions;
use keywright_bench::report::{Report, Table, grouped, progress};
use keywright_bench::rounds::quantile;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::browser::Browser;
use crate::filling::Filled;

#[derive(Parser)]
#[command(about = "The console's pages with many keys: server time and bytes")]
struct Options {
    #[command(flatten)]
    common: CommonOptions,
    /// On which store
    #[arg(long, value_enum, default_value = "sqlite")]
    store: Kind,
    /// How many keys [default: 1000000]
    #[arg(long)]
    keys: Option<u64>,
    /// How many of them one user has [default: a tenth]
    #[arg(long)]
    of_one: Option<u64>,
    /// How often each page is asked for [default: 200]
    #[arg(long)]
    rounds: Option<usize>,
}

/// A page, by an address for each round.
struct Page {
    name: &'static str,
    paths: Vec<String>,
    /// What stands in the first of them, or the wrong thing is measured.
    holds: String,
}

/// What was seen of a page.
#[derive(Default)]
struct Seen {
    milliseconds: Vec<f64>,
    bytes: usize,
}

fn main() -> Outcome {
    let options = Options::parse();
    let count = options.common.size(options.keys, 1_000_000, 2_000);
    let of_one = options.of_one.unwrap_or(count / 10);
    let rounds = options.common.size(options.rounds, 200, 3);
    let runtime = Runtime::new()?;
    let database = match options.store {
        Kind::Sqlite => Database::sqlite(None)?,
        Kind::Postgres => Database::postgres_in(&durable_cluster())?,
    };
    let filled = runtime.block_on(filling::fill(&database, count, of_one))?;
    let keywright = database.serve([])?;
    let address = keywright.server().address();
    let browser = runtime.block_on(Browser::sign_in(address, keywright.service_key()))?;
    progress("a full audit log, and a full keyspace");
    runtime.block_on(fill_pages(&browser, keywright.service_key()))?;
    progress("first load");
    let first = runtime.block_on(browser.with_assets("/keys"))?;
    let chart = runtime.block_on(browser.with_assets("/overview"))?;
    progress("pages");
    let pages = pages(&filled);
    for page in &pages {
        let read = runtime.block_on(browser.read(&page.paths[0]))?;
        if !read.contains(&page.holds) {
            return Err(format!("{} is not in {}", page.holds, page.paths[0]).into());
        }
    }
    let mut seen: Vec<Seen> = pages.iter().map(|_| Seen::default()).collect();
    for round in 0..rounds {
        for (page, seen) in pages.iter().zip(&mut seen) {
            let path = &page.paths[round % page.paths.len()];
            let watch = Stopwatch::start();
            let bytes = runtime.block_on(browser.get(path))?;
            seen.milliseconds.push(watch.elapsed().as_secs_f64() * 1e3);
            seen.bytes = seen.bytes.max(bytes);
        }
    }
    keywright.stop()?;
    report(options.store, count, of_one, rounds, &pages, &seen)
        .note(format!(
            "First load of the list of keys with all that it loads: {} bytes; of the overview, with the library that \
             draws charts: {} bytes.",
            grouped(as_figure(first)),
            grouped(as_figure(chart)),
        ))
        .print()
}

fn report(
    kind: Kind,
    count: u64,
    of_one: u64,
    rounds: usize,
    pages: &[Page],
    seen: &[Seen],
) -> Report {
    let mut table = Table::new([
        "page",
        "median, ms",
        "p95, ms",
        "longest, ms",
        "bytes at most",
    ]);
    for (page, seen) in pages.iter().zip(seen) {
        let at = |share| format!("{:.1}", quantile(&seen.milliseconds, share));
        table.row([
            page.name.to_owned(),
            at(0.5),
            at(0.95),
            at(1.0),
            grouped(as_figure(seen.bytes)),
        ]);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts, far below 2⁵²")]
    let title = format!(
        "The console with {} keys on {}, {} of them one user's",
        grouped(count as f64),
        kind.name(),
        grouped(of_one as f64),
    );
    Report::new(title).table(&table).note(format!(
        "From the request to the whole answer, over loopback, {rounds} times each, one page after the other in turn; \
         headers and body, compressed. Of the audit log there is nothing but what the server wrote itself: more than a page of it."
    ))
}

#[expect(clippy::cast_precision_loss, reason = "sizes, far below 2⁵²")]
fn as_figure(size: usize) -> f64 {
    size as f64
}

fn pages(filled: &Filled) -> Vec<Page> {
    let page = |name, path: &str| Page {
        name,
        paths: vec![path.to_owned()],
        holds: String::new(),
    };
    let each = |name, path: fn(&filling::Known) -> String| Page {
        name,
        paths: filled.known.iter().map(path).collect(),
        holds: filled
            .known
            .first()
            .map(|known| known.id.clone())
            .unwrap_or_default(),
    };
    let one = &filled.of_many;
    vec![
        page("(nothing: `/health/live`)", "/health/live"),
        page("keys, everybody's", "/keys"),
        page(
            "keys, suspended ones: there are none",
            "/keys?status=SUSPENDED",
        ),
        page(
            "keys, active ones of a keyspace",
            "/keys?status=ACTIVE&keyspace=default",
        ),
        page("keys of one user of many", &format!("/keys?user={one}")),
        page(
            "keys of that user, revoked ones: there are none",
            &format!("/keys?user={one}&status=REVOKED"),
        ),
        each("search by name, of everybody", |known| {
            format!("/keys?q={}", known.name.replace(' ', "+"))
        }),
        page("search by a name that is everybody's", "/keys?q=key"),
        page(
            "search by a name, of that user",
            &format!("/keys?q=key&user={one}"),
        ),
        page(
            "search by a name that is everybody's, active ones",
            "/keys?q=key&status=ACTIVE",
        ),
        page(
            "search by a name that is everybody's, revoked ones: there are none",
            "/keys?q=key&status=REVOKED",
        ),
        page(
            "search by a name that is that user's, of a keyspace that has none",
            &format!("/keys?q=key&user={one}&keyspace=full"),
        ),
        page(
            "keys of that user, of a keyspace that has none",
            &format!("/keys?user={one}&keyspace=full"),
        ),
        page(
            "search by a name that nobody's key has",
            &format!("/keys?q=nothing&user={one}"),
        ),
        each("search by the first 8 characters", |known| {
            format!("/keys?q={}", known.prefix)
        }),
        each("search by the last 8 characters", |known| {
            format!("/keys?q={}", known.postfix)
        }),
        each("search by id", |known| format!("/keys?q={}", known.id)),
        each("one key", |known| format!("/keys/{}", known.id)),
        each("one key, 30 days", |known| {
            format!("/keys/{}?over=30d", known.id)
        }),
        page("new key", "/keys/new"),
        page("overview", "/overview"),
        page("overview, what changes", "/overview/live"),
        page("users", "/users"),
        Page {
            holds: filled
                .known
                .first()
                .map(|known| known.user.clone())
                .unwrap_or_default(),
            ..each("users, by the start of an id", |known| {
                format!("/users?start={}", &known.user[..4])
            })
        },
        page("keyspaces", "/keyspaces"),
        page("one keyspace, of 64 permissions", "/keyspaces/full"),
        page("new key in it", "/keys/new?keyspace=full"),
        page("service keys", "/service-keys"),
        page("audit", "/audit"),
        page("cluster", "/cluster"),
        page("account", "/account"),
    ]
}

/// More than a page of the audit log, and a keyspace with as many permissions as there may be.
async fn fill_pages(browser: &Browser, service_key: &str) -> Outcome {
    let permissions: Vec<_> = (0..64)
        .map(|number| json!({"name": format!("thing{number}:read"), "description": "Read one of the things"}))
        .collect();
    let wanted = json!({"name": "full", "prefix": "full_", "permissions": permissions});
    browser
        .make(service_key, "/api/keyspaces", None, &wanted)
        .await?;
    for number in 0..30 {
        let wanted = json!({"name": format!("made {number}"), "permissions": ["READ_GRAPH"]});
        browser
            .make(service_key, "/api/api-keys", Some("somebody"), &wanted)
            .await?;
    }
    Ok(())
}
