module analysis

go 1.21
