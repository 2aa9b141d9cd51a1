fn main() {
    for name in ["RUSTC", "BURN", "TARGET", "PROFILE", "FEATURES", "BUILD"] {
        let value = if name == "RUSTC" { "rustc of the check" } else { "check" };
        println!("cargo:rustc-env=DUALK_{name}={value}");
    }
}
