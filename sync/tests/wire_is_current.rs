//! The committed messages are those of the proto.

#[path = "../examples/generate_wire/generate.rs"]
mod generate;

#[test]
fn the_committed_code_is_what_the_proto_says() {
    let committed = std::fs::read_to_string(generate::WIRE).expect("src/wire.rs can be read");
    let wanted = generate::generate().expect("the proto compiles");
    assert!(committed == wanted, "run `cargo run -p rivmesh-sync --example generate_wire`");
}
