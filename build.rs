//! Turns `protocols/*.proto` into Rust with the pure-Rust generator: no protoc to install.

fn main() {
    println!("cargo:rerun-if-changed=protocols");
    protobuf_codegen::Codegen::new()
        .pure()
        .cargo_out_dir("proto")
        .include("protocols")
        .input("protocols/common.proto")
        .input("protocols/swim.proto")
        .input("protocols/newscast.proto")
        .run_from_script();
}
