//! Turns the `.proto` files into Rust with the pure-Rust generator: no protoc to install.

fn main() {
    let files = ["common.proto", "swim.proto", "newscast.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    protobuf_codegen::Codegen::new()
        .pure()
        .cargo_out_dir("proto")
        .include(".")
        .inputs(files)
        .run_from_script();
}
