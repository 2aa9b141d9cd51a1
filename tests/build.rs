//! Says which data are there.

include!("data_cfg.rs");

fn main() {
    say_which_data_are_there();
}
