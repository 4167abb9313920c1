// Charts that lie in Go modules, for tests; nothing is built from them.
module autoglm.dev/platform/toolchain/charts

go 1.26.6

require github.com/elastic/cloud-on-k8s/v3 v3.5.0
