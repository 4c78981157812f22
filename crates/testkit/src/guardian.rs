//! Removes a cluster when the process that started it is gone, however it went.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A shell that waits for the end of its standard input, which the kernel
/// brings about when this process exits, panics or is killed; then stops the
/// server and deletes its directory.
///
/// Not `PR_SET_PDEATHSIG`: that fires when the *thread* that started the child
/// ends, and each test runs in a thread of its own; and it deletes nothing.
#[derive(Debug)]
pub(crate) struct Guardian(Child);

/// `$1` is the cluster's directory. A killed server leaves its pid file behind,
/// so the number in it counts only for a process that works in this directory.
const SCRIPT: &str = r#"
    read -r _
    data=$1/data
    server=$(head -n 1 "$data/postmaster.pid" 2>/dev/null)
    runs() { [ -n "$server" ] && [ "$(readlink "/proc/$server/cwd")" = "$data" ]; }
    if runs; then
        kill -QUIT "$server"
        kill -CONT "$server"
        for _ in $(seq 100); do runs || break; sleep 0.05; done
        if runs; then kill -KILL "$server"; fi
    fi
    rm -rf -- "$1"
"#;

impl Guardian {
    /// Guards the cluster in `directory`, whose data is in `data` below it.
    pub(crate) fn over(directory: &Path) -> Self {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "guardian"])
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C and a test runner's kill go to the whole process group;
            // the guardian must outlive them.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("could not start sh: {error}"));
        Self(child)
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Nobody is left to act on a failure, and the directory is temporary.
        let _ = self.0.wait();
    }
}
