//! One binary for all integration tests: it links once, and its tests share their clusters.
mod background;
mod claims;
mod executor;
mod guide;
mod harness;
mod install;
mod jobs;
mod llama;
mod model;
mod network;
mod plans;
mod queue;
mod refusals;
mod rights;
mod scripts;
mod steps;
mod work;
