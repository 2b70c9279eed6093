namespace OnnxLeNet.Numerics;

/// <summary>Zip's checksum: CRC-32 of the polynomial 0xEDB88320, four bytes at a time.</summary>
internal static class Crc32
{
    private static readonly uint[] Tables = MakeTables();

    /// <summary>The checksum of the bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        for (; bytes.Length >= 4; bytes = bytes[4..])
        {
            crc ^= (uint)(bytes[0] | bytes[1] << 8 | bytes[2] << 16 | bytes[3] << 24);
            crc = Tables[768 + (byte)crc] ^ Tables[512 + (byte)(crc >> 8)] ^ Tables[256 + (byte)(crc >> 16)] ^ Tables[crc >> 24];
        }
        foreach (byte value in bytes) crc = Tables[(byte)(crc ^ value)] ^ crc >> 8;
        return ~crc;
    }

    // Table k, at 256·k, holds what a byte does to the checksum when k zero bytes follow it.
    private static uint[] MakeTables()
    {
        var tables = new uint[4 * 256];
        for (int i = 0; i < tables.Length; i++)
        {
            uint crc = (uint)i;
            if (i < 256)
                for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? 0xEDB88320 ^ crc >> 1 : crc >> 1;
            else
                crc = tables[(byte)tables[i - 256]] ^ tables[i - 256] >> 8;
            tables[i] = crc;
        }
        return tables;
    }
}
