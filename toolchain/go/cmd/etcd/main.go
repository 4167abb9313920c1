// Command etcd is the etcd server. Upstream's own main package belongs to the server module, which cannot be named as
// a command of another module without this wrapper.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
