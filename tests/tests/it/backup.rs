//! Backups: whatever the way of dumping and restoring, everything is there afterwards, what is the
//! game's own included, and jobs go on.

mod game;
mod owner;
mod rights;
mod row_security;
mod server_upgrade;
mod under_way;
mod whole;
