//! A scratch server for a person: preloaded, with the extension in one database. Prints its URL and
//! its folder, and is gone when its standard input ends (Ctrl-D, Ctrl-C).
//! `cargo run -p pg-worker-tests --bin scratch`

use pg_worker_tests::{Cluster, Database};
use std::io::Read;

fn main() {
    let cluster = Cluster::own(&[]);
    let database = Database::with_extension(&cluster);
    println!("{}", database.url());
    println!("{}", cluster.data().display());
    let mut rest = Vec::new();
    // Whether input ends or fails, the server's time is over.
    let _ = std::io::stdin().read_to_end(&mut rest);
}
