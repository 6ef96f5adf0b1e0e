//! Writes `src/wire.rs` from the proto; with `--check` only says whether it is current.

mod generate;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted = generate::generate()?;
    if std::env::args().nth(1).as_deref() != Some("--check") {
        std::fs::write(generate::WIRE, wanted)?;
        return Ok(());
    }
    if std::fs::read_to_string(generate::WIRE)? != wanted {
        return Err(
            "src/wire.rs is not what the proto says: run `cargo run -p rivmesh-sync --example generate_wire`".into()
        );
    }
    Ok(())
}
