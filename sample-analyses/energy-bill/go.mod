module energy-bill

go 1.21
