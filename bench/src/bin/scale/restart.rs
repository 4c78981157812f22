//! From the start of the process to the first 200 of `/health/ready`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use keywright_bench::Outcome;
use keywright_bench::ambient::Stopwatch;
use keywright_bench::database::Database;
use keywright_bench::rounds::median;

/// The median of some starts, in milliseconds.
pub(crate) fn measure(database: &Database, rounds: usize) -> Outcome<f64> {
    // The very first start of all makes a service key, and is not a restart.
    database.serve([])?.stop()?;
    let mut figures = Vec::new();
    for _ in 0..rounds {
        let watch = Stopwatch::start();
        let server = database.serve([])?;
        while !is_ready(server.server().address())? {
            thread::sleep(Duration::from_millis(1));
        }
        figures.push(watch.elapsed().as_secs_f64() * 1_000.0);
        server.stop()?;
    }
    Ok(median(figures))
}

fn is_ready(address: SocketAddr) -> Outcome<bool> {
    let mut connection = TcpStream::connect(address)?;
    write!(
        connection,
        "GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}
