// One command in N parts with Nextflow:
//
//   nextflow run scripts/cluster/main.nf --parts 64 \
//       --command 'cytoimagenet extract /data/plate --model MODEL --output /shared/features'
//
// The output is a folder that all tasks share: Nextflow carries only the fact that a part is done.
params.parts = 8
params.command = null

process part {
    errorStrategy 'retry'
    maxRetries 2
    cpus 2

    input:
    val number

    output:
    val number

    script:
    "${params.command} --part ${number}/${params.parts}"
}

process complete {
    cpus 2

    input:
    val numbers

    script:
    "${params.command}"
}

workflow {
    if (!params.command) { error "give --command, such as 'cytoimagenet extract PLATE --model MODEL --output FOLDER'" }
    complete(part(channel.of(1..params.parts)).collect())
}
