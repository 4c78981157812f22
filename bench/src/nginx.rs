//! nginx with one worker that answers everything alike.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::process::{Server, free_address};

/// Starts an nginx that answers every request 200 with `body`. What it needs is written into `folder`.
pub fn start(folder: &Path, body: &str) -> Outcome<Server> {
    if body.contains(['\'', '\\', '$', '\n']) {
        return Err("the body cannot be written into a configuration of nginx".into());
    }
    let address = free_address()?;
    let path = folder.display();
    let configuration = format!(
        "worker_processes 1;
daemon off;
pid {path}/nginx.pid;
error_log {path}/error.log;
events {{}}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_time 24h;
    keepalive_timeout 1h;
    client_body_temp_path {path}/client_body;
    proxy_temp_path {path}/proxy;
    fastcgi_temp_path {path}/fastcgi;
    uwsgi_temp_path {path}/uwsgi;
    scgi_temp_path {path}/scgi;
    server {{
        listen {address};
        location / {{ return 200 '{body}'; }}
    }}
}}
"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut command = Command::new(program());
    // Before it has read where its log is, it would write into the system's.
    command
        .arg("-p")
        .arg(folder)
        .arg("-e")
        .arg(folder.join("error.log"))
        .arg("-c")
        .arg(file);
    Server::start(&mut command, address)
}

/// Debian installs it where only an administrator's PATH looks.
fn program() -> PathBuf {
    let usual = PathBuf::from("/usr/sbin/nginx");
    if usual.exists() {
        usual
    } else {
        PathBuf::from("nginx")
    }
}
